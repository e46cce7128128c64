/**
 * The serving of one server: from the binding of its address to its close.
 *
 * @module
 */

import type { ServerStats } from "../../handlers/request_server.ts";
import { loadRole, role, settings } from "../_internal.ts";
import type { Acceptor } from "../acceptor.ts";
import { formatAddress } from "../addresses.ts";
import type { DrainReport } from "../drain_report.ts";
import { ServerClosedError } from "../errors.ts";
import type { ServeOptions, ServerLimits } from "../options.ts";
import { AcceptLoop } from "./accept_loop.ts";
import {
  type AnyOptions,
  assertNoFields,
  CHANGEABLE,
  checkOptions,
} from "./check_options.ts";
import { Drain, Signals } from "./drain.ts";
import { Listening, type ListeningHost } from "./listening.ts";
import { type CycleHooks, RequestCycle } from "./request_cycle.ts";
import { Telemetry } from "./telemetry.ts";

/** The server, as its serving sees it. */
export interface ServingHost<R> extends CycleHooks<R>, ListeningHost {
  readonly serverAddress: Deno.Addr;
  readonly requestQueueSize: number;
  acceptor: Acceptor<R> | null;
  timeout: number | null;
  shutdownTimeout: number;
  [settings]: AnyOptions;
  getRequest(): Promise<[request: R, clientAddress: Deno.Addr]>;
  handleTimeout(): void | Promise<void>;
}

/** Serves requests. Only one consumer may run at a time. */
export class Serving<R> {
  readonly telemetry: Telemetry;
  readonly cycle: RequestCycle<R>;
  readonly listening: Listening<R>;
  #host: ServingHost<R>;
  #loop: AcceptLoop<R>;
  #drain: Drain<R>;
  #readiness: PromiseWithResolvers<void> = Promise.withResolvers();
  #consuming: Promise<unknown> | null = null;
  #closing: Promise<DrainReport> | null = null;
  #lastTaken: Promise<void> | null = null;

  constructor(host: ServingHost<R>) {
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
    this.listening = new Listening(
      host,
      this.#loop,
      this.#drain,
      this.cycle,
      () => this.#consuming,
    );
    const options = host[settings];
    this.cycle.entrance.setUp(options);
    this.cycle.setLimits(options, () => this.#room());
    this.ready.catch(() => {}); // it may go unread
  }

  /** Resolves when the server takes requests; rejects if it never will. */
  get ready(): Promise<void> {
    return this.#readiness.promise;
  }

  get isClosed(): boolean {
    return this.#closing !== null;
  }

  stats(): ServerStats {
    const { dropped = 0 } = (this.#host.socket ?? {}) as { dropped?: number };
    const { counts, meter, open } = this.cycle;
    return { ...counts, open: open.size, dropped, ...meter.stats() };
  }

  /** Serves until a signal, or until `stop` is called. */
  async forever(options: ServeOptions, stop: () => void): Promise<void> {
    const { signal, signals = [] } = options;
    await using _signals = new Signals(signals, stop);
    signal?.addEventListener("abort", stop);
    try {
      const serving = this.#occupy(true, async () => {
        await this.#takeBy(async () => {
          await this.#loop.run(() => this.cycle.afterTurn());
          return false;
        });
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
      let timedOut = false;
      const timeout = this.#host.timeout ?? Infinity;
      const timer = timeout === Infinity ? undefined : setTimeout(() => {
        timedOut = true;
        this.#stop();
      }, timeout);
      try {
        await this.#takeBy(() => this.#takeOne());
      } finally {
        clearTimeout(timer);
      }
      if (timedOut) await this.#host.handleTimeout();
    });
    await this.#lastTaken;
  }

  /** Ends the serving of this object, not that of its replicas. */
  async endServing(): Promise<void> {
    // Connections queued before the listener closes come first
    const { suspending } = this.listening;
    if (suspending !== null) await suspending.catch(() => {}); // it reports it
    this.#stop();
    this.#host[role].interrupt();
    await this.#consuming;
  }

  /** Ends the serving with an error. */
  failServing(error: Error): void {
    this.#loop.fail(error);
    this.listening.fail(error);
  }

  async suspend(): Promise<void> {
    if (this.isClosed) throw this.#closedError("suspend");
    await this.listening.suspend();
  }

  async resume(): Promise<void> {
    if (this.isClosed) throw this.#closedError("resume");
    await this.listening.resume();
  }

  /**
   * Replaces the listener while the serving goes on: by that of `openBeside`,
   * or by one opened when the old one is closed.
   */
  async reopen(openBeside: () => Deno.Listener | null): Promise<void> {
    if (this.isClosed) throw this.#closedError("replace the certificate");
    await this.listening.reopen(openBeside);
  }

  /** Applies limits here and to the replicas. */
  setLimits(limits: ServerLimits): void {
    const { [role]: part, [settings]: options } = this.#host;
    part.assertLimits(limits);
    Object.assign(options, limits);
    this.cycle.setLimits(limits, () => this.#room());
    part.setLimits(limits);
    this.#loop.wake();
  }

  /** Sets an option that is also a property of the server. */
  change(name: string, value: unknown): void {
    const { constructor, serverAddress, [role]: part } = this.#host;
    const changed = { [name]: value };
    checkOptions(constructor.name, serverAddress.transport, false, changed);
    if (name !== "maxConnections") {
      Object.assign(this.#host[settings], changed);
      return;
    }
    part.assertMay("change the limits of");
    this.setLimits(changed);
  }

  /** Closes the server for good. */
  async close(): Promise<DrainReport> {
    this.#host[role].assertMay("close");
    return await (this.#closing ??= this.#close());
  }

  /** Takes a request that is not refused; false if there came none. */
  async #takeOne(): Promise<boolean> {
    while (await this.#loop.runOnce()) {
      if (!this.cycle.refuses) return true;
    }
    return false;
  }

  #stop(): void {
    this.#loop.stop();
    this.listening.end();
  }

  /** Runs `take`, again after each suspension, until it returns true. */
  async #takeBy(take: () => Promise<boolean>): Promise<void> {
    do {
      await this.listening.suspending;
      if (this.#host.acceptor !== null && await take()) return;
    } while (await this.listening.goesOn);
  }

  /** How many more requests fit. */
  #room(): number {
    const { open, entrance } = this.cycle;
    const { [settings]: { maxConnections = Infinity }, [role]: { limit } } =
      this.#host;
    // Clients that are silent in the entrance need no replica
    return Math.min(
      maxConnections - open.size + (entrance.admission?.held ?? 0),
      limit - open.size + entrance.passing,
    );
  }

  async #occupy(
    forever: boolean,
    consume: () => Promise<void>,
  ): Promise<void> {
    if (this.isClosed) throw this.#closedError("serve");
    adoptFields(this.#host);
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
    await this.listening.activation;
    // The parent emits the events of its replicas
    if (!host[role].bindsLater) await this.telemetry.openChannels();
    if (host.acceptor === null) throw this.#notListening();
    if (this.#loop.isStopping) return;
    host.acceptor.ref?.();
    try {
      await this.#startRole(forever).catch((error) => {
        this.#readiness.reject(error);
        throw error;
      });
      if (this.#loop.isStopping) return;
      this.#readiness.resolve();
      await consume();
    } finally {
      await host[role].pause();
      host.acceptor?.unref?.();
    }
  }

  async #startRole(forever: boolean): Promise<void> {
    const part = await loadRole(this.#host);
    if (this.#loop.isStopping) return;
    part.watch();
    await part.start(forever);
  }

  async #close(): Promise<DrainReport> {
    const host = this.#host;
    const deadline = performance.now() + host.shutdownTimeout;
    this.#readiness.reject(this.#closedError("serve"));
    await this.listening.reopening?.catch(() => {});
    await Promise.resolve(); // for #closing to be set
    await this.endServing();
    await this.listening.activation?.catch(() => {});
    const part = await loadRole(host).catch(() => host[role]);
    this.telemetry.emit("drainStart", { open: this.cycle.open.size });
    const report = await this.#drain.run(deadline, part);
    this.telemetry.emit("drainEnd", { report });
    return report;
  }

  #notListening(): TypeError {
    return new TypeError(
      this.listening.isSuspended
        ? "Cannot serve: the server is suspended; call resume() first"
        : "Cannot serve: the server is not bound; call serverBind() and serverActivate() first",
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

/** A subclass's field hides the server's accessor: its value is set there. */
function adoptFields(server: object): void {
  for (const name of CHANGEABLE) {
    if (!Object.hasOwn(server, name)) continue;
    const value = Reflect.get(server, name);
    Reflect.deleteProperty(server, name);
    Reflect.set(server, name, value);
  }
  assertNoFields(server);
}
