/**
 * Measures requests.
 *
 * @module
 */

import type { ServerStats } from "../../handlers/request_server.ts";
import { Histogram } from "../../workers/_histogram.ts";
import { ByteMeter } from "./byte_meter.ts";
import type { OpenRequest } from "./open_requests.ts";
import type { Details, Telemetry } from "./telemetry.ts";

/** Measures the requests of one server and emits their events. */
export class RequestMeter {
  #telemetry: Telemetry;
  #duration: Histogram = new Histogram();
  #bytesRead: Histogram = new Histogram();
  #bytesWritten: Histogram = new Histogram();

  constructor(telemetry: Telemetry) {
    this.#telemetry = telemetry;
  }

  /** A request is about to be served. */
  begin(open: OpenRequest): void {
    const { request, clientAddress } = open;
    open.started = performance.now();
    const telemetry = this.#telemetry;
    if (telemetry.isWatched("requestEnd")) open.bytes = new ByteMeter(request);
    if (telemetry.isWatched("connection") && !("packet" in Object(request))) {
      telemetry.emit("connection", { clientAddress });
    }
  }

  /** A request is refused. */
  refuse(open: OpenRequest, reason: string): void {
    open.started = null;
    const { clientAddress } = open;
    if (this.#telemetry.isWatched("refusal")) {
      this.#telemetry.emit("refusal", { clientAddress, reason });
    }
  }

  /** A request has ended. Returns its duration, if it was served. */
  end(open: OpenRequest): number | null {
    const { started, bytes, clientAddress, failed, aborted } = open;
    if (started === null) return null;
    const duration = performance.now() - started;
    this.measured(duration);
    if (bytes === null) return duration;
    const { bytesRead, bytesWritten } = bytes;
    this.ended({
      clientAddress,
      duration,
      bytesRead,
      bytesWritten,
      failed: failed || aborted,
    });
    return duration;
  }

  /** Counts a request that has ended here or elsewhere. */
  measured(duration: number): void {
    this.#duration.record(duration);
  }

  /** Emits the end of a watched request, here or elsewhere. */
  ended(details: Details<"requestEnd">): void {
    this.#bytesRead.record(details.bytesRead);
    this.#bytesWritten.record(details.bytesWritten);
    this.#telemetry.emit("requestEnd", details);
  }

  /** The measurements. */
  stats(): Pick<ServerStats, "duration" | "bytesRead" | "bytesWritten"> {
    return {
      duration: this.#duration.distribution(),
      bytesRead: this.#bytesRead.distribution(),
      bytesWritten: this.#bytesWritten.distribution(),
    };
  }
}
