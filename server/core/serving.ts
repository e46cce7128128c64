/**
 * The serving of one server: from the binding of its address to its close.
 *
 * @module
 */

import type { ServerStats } from "../../handlers/request_server.ts";
import { role, type ServerCore, type ServerRole } from "../_internal.ts";
import type { Acceptor } from "../acceptor.ts";
import { formatAddress } from "../addresses.ts";
import type { DrainReport } from "../drain_report.ts";
import { ServerClosedError } from "../errors.ts";
import type { ServeOptions, ServerLimits } from "../options.ts";
import { AcceptLoop } from "./accept_loop.ts";
import type { AnyOptions } from "./check_options.ts";
import type { Counts } from "./counts.ts";
import { closeQuietly } from "./disconnect.ts";
import { Drain } from "./drain.ts";
import { type CycleHooks, RequestCycle } from "./request_cycle.ts";
import type { RequestMeter } from "./request_meter.ts";
import { Signals } from "./signals.ts";
import { Telemetry } from "./telemetry.ts";

/** The server, as its serving sees it. */
export interface ServingHost<R> extends CycleHooks<R> {
  readonly serverAddress: Deno.Addr;
  readonly requestQueueSize: number;
  socket: unknown;
  acceptor: Acceptor<R> | null;
  timeout: number | null;
  maxConnections: number;
  shutdownTimeout: number;
  readonly [role]: ServerRole | null;
  serverBind(): void | Promise<void>;
  serverActivate(): void | Promise<void>;
  getRequest(): Promise<[request: R, clientAddress: Deno.Addr]>;
  handleTimeout(): void | Promise<void>;
}

/** Serves requests. Only one consumer may run at a time. */
export class Serving<R> implements ServerCore {
  readonly telemetry: Telemetry;
  readonly cycle: RequestCycle<R>;
  #host: ServingHost<R>;
  #loop: AcceptLoop<R>;
  #drain: Drain<R>;
  #readiness: PromiseWithResolvers<void> = Promise.withResolvers();
  #activation: Promise<void> | null = null;
  #consuming: Promise<unknown> | null = null;
  #closing: Promise<DrainReport> | null = null;
  /** Set while suspended; resolves with whether the serving goes on. */
  #suspension: PromiseWithResolvers<boolean> | null = null;
  #suspending: Promise<void> | null = null;
  #lastTaken: Promise<void> | null = null;

  constructor(host: ServingHost<R>, options: AnyOptions) {
    this.#host = host;
    this.telemetry = new Telemetry(host);
    this.cycle = new RequestCycle(
      host,
      this.telemetry,
      () => this.#loop.wake(),
    );
    this.#loop = new AcceptLoop({
      next: () => host.getRequest(),
      hasRoom: () => this.cycle.refusesOverLimit || this.#room() > 0,
      take: (accepted, waited) => {
        if (waited) this.cycle.counts.waited++;
        this.#lastTaken = this.cycle.serve(accepted);
      },
      failed: (error, first) => void this.cycle.acceptFailed(error, first),
    });
    this.#drain = new Drain(host, this.#loop, this.cycle);
    this.cycle.entrance.setUp(options);
    this.cycle.setLimits(options, () => this.#room());
    this.ready.catch(() => {}); // it may go unread
  }

  get ready(): Promise<void> {
    return this.#readiness.promise;
  }

  get isClosed(): boolean {
    return this.#closing !== null;
  }

  get counts(): Counts {
    return this.cycle.counts;
  }

  get meter(): RequestMeter {
    return this.cycle.meter;
  }

  stats(): ServerStats {
    const { dropped = 0 } = (this.#host.socket ?? {}) as { dropped?: number };
    const { size: open } = this.cycle.open;
    return { ...this.counts, open, dropped, ...this.meter.stats() };
  }

  async serve(request: unknown, clientAddress: Deno.Addr): Promise<void> {
    await this.cycle.serveAccepted(request as R, clientAddress);
  }

  async report(error: Error, clientAddress: Deno.Addr | null): Promise<void> {
    await this.cycle.report(error, null, clientAddress);
  }

  /** Serves until a signal, or until `stop` is called. */
  async forever(options: ServeOptions, stop: () => void): Promise<void> {
    const { signal, signals = [] } = options;
    await using _signals = new Signals(signals, stop);
    signal?.addEventListener("abort", stop);
    try {
      const serving = this.#occupy(true, async () => {
        do {
          await this.#suspending;
          if (this.#host.acceptor === null) continue;
          await this.#loop.run(() => this.cycle.afterTurn());
        } while (await this.#suspension?.promise);
      });
      if (signal?.aborted) stop();
      await serving;
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  /** Serves one request to its end. */
  async once(): Promise<void> {
    this.#lastTaken = null;
    await this.#occupy(false, async () => {
      const { timeout } = this.#host;
      if (!await this.#loop.runOnce(timeout ?? Infinity)) {
        await this.#host.handleTimeout();
      }
    });
    await this.#lastTaken;
  }

  async endServing(): Promise<void> {
    // Connections queued before the listener closes come first
    if (this.#suspending !== null) await this.#suspending;
    this.#loop.stop();
    this.#suspension?.resolve(false);
    this.#host[role]?.interrupt?.();
    await this.#consuming;
  }

  failServing(error: Error): void {
    this.#loop.fail(error);
    this.#suspension?.reject(error);
  }

  async suspend(): Promise<void> {
    if (this.isClosed) throw this.#closedError("suspend");
    if (this.#suspension === null) {
      this.#suspension = Promise.withResolvers();
      this.#suspension.promise.catch(() => {}); // forever() awaits it
      this.#suspending = this.#stopListening();
    }
    await this.#suspending;
  }

  async resume(): Promise<void> {
    if (this.isClosed) throw this.#closedError("resume");
    await this.#suspending;
    if (this.#suspension === null) return;
    this.join();
    await this.#activation;
    await this.#host[role]?.resume?.();
    this.cycle.refuses = false;
    this.#suspension?.resolve(true);
    this.#suspension = null;
  }

  setLimits(limits: ServerLimits): void {
    const host = this.#host;
    host.maxConnections = limits.maxConnections ?? host.maxConnections;
    this.cycle.setLimits(limits, () => this.#room());
    this.#loop.wake();
  }

  drain(): void {
    this.cycle.open.drain();
  }

  join(): void {
    const host = this.#host;
    if (host.acceptor !== null) return;
    try {
      const bound = host.serverBind();
      this.#activation = bound instanceof Promise
        ? bound.then(() => host.serverActivate())
        : host.serverActivate() ?? null;
      this.#activation?.catch(() => {}); // forever() reports it
    } catch (error) {
      closeQuietly(host.acceptor ?? host.socket);
      throw error;
    }
  }

  async leave(): Promise<void> {
    const host = this.#host;
    if (host.acceptor === null) return;
    await this.#activation?.catch(() => {});
    if (!host[role]?.sharesQueue) {
      const deadline = performance.now() + host.shutdownTimeout;
      await this.#drain.acceptBacklog(deadline);
    }
    await this.#drain.closeAcceptor();
    host.acceptor = null;
    host.socket = null;
  }

  /** Closes the server for good. */
  async close(): Promise<DrainReport> {
    this.#host[role]?.beforeClose?.();
    return await (this.#closing ??= this.#close());
  }

  /** How many more requests fit. */
  #room(): number {
    const { open, entrance } = this.cycle;
    const { maxConnections, [role]: part } = this.#host;
    const limit = Math.min(maxConnections, part?.limit ?? Infinity);
    return limit - open.size + (entrance.admission?.held ?? 0);
  }

  async #occupy(
    forever: boolean,
    consume: () => Promise<void>,
  ): Promise<void> {
    if (this.isClosed) throw this.#closedError("serve");
    if (this.#consuming !== null) {
      throw new TypeError(
        "Cannot serve: the server is already serving; call shutdown() first",
      );
    }
    this.#loop.begin();
    const consuming = this.#consume(forever, consume);
    this.#consuming = consuming.catch(() => {});
    try {
      await consuming;
    } finally {
      this.#consuming = null;
    }
  }

  async #consume(
    forever: boolean,
    consume: () => Promise<void>,
  ): Promise<void> {
    const host = this.#host;
    const part = host[role];
    await this.#activation;
    // The parent emits the events of its replicas
    if (!part?.bindsLater) await this.telemetry.openChannels();
    part?.watch?.();
    if (host.acceptor === null) throw this.#notListening();
    if (this.#loop.isStopping) return;
    host.acceptor.ref?.();
    try {
      await part?.start?.(forever).catch((error) => {
        this.#readiness.reject(error);
        throw error;
      });
      if (this.#loop.isStopping) return;
      this.#readiness.resolve();
      await consume();
    } finally {
      await part?.pause?.();
      host.acceptor?.unref?.();
    }
  }

  async #stopListening(): Promise<void> {
    try {
      await this.#host[role]?.suspend?.();
      // Replies need the socket of the packets
      if (this.#host.acceptor?.carriesReplies) this.cycle.refuses = true;
      else {
        if (this.#loop.isStopping) await this.#consuming;
        this.#loop.release();
        await this.leave();
      }
    } catch (error) {
      this.#suspension = null;
      throw error;
    } finally {
      this.#suspending = null;
    }
  }

  async #close(): Promise<DrainReport> {
    const host = this.#host;
    const deadline = performance.now() + host.shutdownTimeout;
    this.#readiness.reject(this.#closedError("serve"));
    await Promise.resolve(); // for #closing to be set
    await this.endServing();
    await this.#activation?.catch(() => {});
    const { sharesQueue = false } = host[role] ?? {};
    this.telemetry.emit("drainStart", { open: this.cycle.open.size });
    const report = await this.#drain.run(deadline, host[role], sharesQueue);
    this.telemetry.emit("drainEnd", { report });
    return report;
  }

  #notListening(): TypeError {
    return new TypeError(
      this.#suspension === null
        ? "Cannot serve: the server is not bound; call serverBind() and serverActivate() first"
        : "Cannot serve: the server is suspended; call resume() first",
    );
  }

  #closedError(what: string): ServerClosedError {
    return new ServerClosedError(
      `Cannot ${what} on ${
        formatAddress(this.#host.serverAddress)
      }: the server was closed`,
    );
  }
}
