/**
 * The events and the measurements of a server. Events cost nothing without
 * listeners.
 *
 * @module
 */

import { printable } from "../../handlers/_internal.ts";
import type { Channel } from "node:diagnostics_channel";
import type { DatagramRequest } from "../../handlers/request_types.ts";
import { EVENT_NAMES } from "../_internal.ts";
import type { ServerEvents } from "../server_events.ts";
import { printError } from "./faults.ts";
import type { ServerStats } from "../../handlers/request_types.ts";
import { Histogram } from "../../workers/base/histogram.ts";
import {
  type ConnObserver,
  watchConn,
  type WatchedConn,
} from "./watched_conn.ts";
import type { OpenRequest } from "./request.ts";

/** An event's name. */
export type EventName = keyof ServerEvents;
/** An event's fields without the server. */
export type Details<K extends EventName> = Omit<
  ServerEvents[K],
  "serverAddress"
>;
/** A listener. */
export type Listener<K extends EventName = EventName> = (
  event: ServerEvents[K],
) => void;
/** Emits an event. */
export type Emit = <K extends EventName>(name: K, details: Details<K>) => void;
type AnyListener = (event: unknown) => void;

/** The listeners and the channel of one event. */
interface Watchers {
  listeners: Set<AnyListener>;
  channel: Channel | null;
}

/** The events of one server. */
export class Telemetry {
  #server: { readonly serverAddress: Deno.Addr };
  #watchers = Object.fromEntries(
    EVENT_NAMES.map((name) => [name, { listeners: new Set(), channel: null }]),
  ) as Record<EventName, Watchers>;
  #forward: Emit | null = null;
  #forwarded: ReadonlySet<EventName> = new Set();

  constructor(server: { readonly serverAddress: Deno.Addr }) {
    this.#server = server;
  }

  on<K extends EventName>(name: K, listener: Listener<K>): void {
    if (!EVENT_NAMES.includes(name)) {
      throw new TypeError(
        `Cannot listen to "${name}": expected one of ${EVENT_NAMES.join(", ")}`,
      );
    }
    this.#watchers[name].listeners.add(listener as AnyListener);
  }

  off<K extends EventName>(name: K, listener: Listener<K>): void {
    this.#watchers[name]?.listeners?.delete(listener as AnyListener);
  }

  /** Opens the diagnostics channels. A thread's first call takes 3 ms. */
  async openChannels(): Promise<void> {
    const { channel } = await import("node:diagnostics_channel");
    for (const name of EVENT_NAMES) {
      this.#watchers[name].channel ??= channel(`socketserver:${name}`);
    }
  }

  /** Makes others emit the events of these names only. */
  forward(names: readonly EventName[], forward: Emit): void {
    this.#forwarded = new Set(names);
    this.#forward = forward;
  }

  /** Whether an event has listeners. */
  isWatched(name: EventName): boolean {
    if (this.#forward !== null) return this.#forwarded.has(name);
    const { listeners, channel } = this.#watchers[name];
    return listeners.size > 0 || channel?.hasSubscribers === true;
  }

  /** Emits an event. An error of a listener is printed. */
  emit<K extends EventName>(name: K, details: Details<K>): void {
    if (this.#forward !== null) {
      if (this.#forwarded.has(name)) this.#forward(name, details);
      return;
    }
    const { serverAddress } = this.#server;
    const { clientAddress } = details as { clientAddress?: Deno.Addr | null };
    if (clientAddress) printable(clientAddress);
    const event = { serverAddress, ...details };
    const { listeners, channel } = this.#watchers[name];
    const all = [...listeners];
    if (channel?.hasSubscribers) all.push((e) => channel.publish(e));
    for (const listener of all) {
      try {
        listener(event);
      } catch (error) {
        printError(error, null, `a listener for "${name}"`);
      }
    }
  }
}

/** Counts the bytes of one request from now on. */
class ByteMeter implements ConnObserver {
  bytesWritten = 0;
  #packetLength = 0;
  #conn: WatchedConn | null = null;

  constructor(request: unknown) {
    const { packet } = (request ?? {}) as Partial<DatagramRequest>;
    if (packet !== undefined) {
      this.#packetLength = packet.length;
      this.#watchReplies(request as DatagramRequest);
    } else {
      this.#conn = watchConn(request);
      this.#conn?.observe(this);
    }
  }

  get bytesRead(): number {
    return this.#conn?.bytesRead ?? this.#packetLength;
  }

  onRead(): void {}

  onWrite(writing: Promise<number>): void {
    writing.then(this.#onWritten, ignore);
  }

  #onWritten = (count: number): void => {
    this.bytesWritten += count;
  };

  #watchReplies(request: DatagramRequest): void {
    const { socket } = request;
    const counting: DatagramRequest["socket"] = {
      addr: socket.addr,
      send: async (packet, address) => {
        const sent = await socket.send(packet, address);
        this.bytesWritten += sent;
        return sent;
      },
    };
    Object.defineProperty(request, "socket", { value: counting });
  }
}

/** Measures the requests of one server and emits their events. */
export class RequestMeter {
  #telemetry: Telemetry;
  #duration: Histogram = new Histogram();
  #bytesRead: Histogram = new Histogram();
  #bytesWritten: Histogram = new Histogram();

  constructor(telemetry: Telemetry) {
    this.#telemetry = telemetry;
  }

  /** A request is about to be served, `now`. */
  begin(open: OpenRequest, now: number): void {
    const { request, clientAddress } = open;
    open.started = now;
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

function ignore(): void {}
