/**
 * The serving of one server: from the binding of its address to its close.
 *
 * @module
 */

import type { ServerStats } from "../../handlers/request_types.ts";
import { type AnyOptions, loadRole, role, settings } from "../_internal.ts";
import type { Acceptor } from "../acceptor.ts";
import type { DrainReport, ServeOptions, ServerLimits } from "../options.ts";
import { AcceptLoop, Consumer } from "./accept_loop.ts";
import { assertNoFields, CHANGEABLE, checkOptions } from "./check_options.ts";
import { Listening, type ListeningHost } from "./listening.ts";
import { type CycleHooks, RequestCycle } from "./request_cycle.ts";
import { Telemetry } from "./telemetry.ts";
import { Signals } from "../../workers/base/waits.ts";

/** The server, as its serving sees it. */
export interface ServingHost<R> extends CycleHooks<R>, ListeningHost {
  acceptor: Acceptor<R> | null;
  readonly timeout: number | null;
  [settings]: AnyOptions;
  getRequest(): Promise<[request: R, clientAddress: Deno.Addr]>;
  handleTimeout(): void | Promise<void>;
}

/** Serves requests, for one consumer at a time. */
export class Serving<R> {
  readonly telemetry: Telemetry;
  readonly cycle: RequestCycle<R>;
  readonly listening: Listening<R>;
  /** Whether a signal has come, and the server serves for `drainDelay` more. */
  isStopping = false;
  #host: ServingHost<R>;
  #loop: AcceptLoop<R>;
  #readiness: PromiseWithResolvers<void> = Promise.withResolvers();
  #consumer: Consumer | null = null;
  /** Settles when there is no consumer any more. */
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
      take: ([request, peer], waited, now) => {
        if (waited) this.cycle.counts.waited++;
        this.#lastTaken = this.cycle.serve(request, peer, now);
        return !this.cycle.refuses;
      },
      failed: (error, first) => void this.cycle.acceptFailed(error, first),
    });
    this.listening = new Listening(host, this.#loop, this.cycle);
    const options = host[settings];
    this.cycle.entrance.setUp(options);
    this.cycle.setLimits(options, () => this.#room());
    this.ready.catch(() => {}); // it may go unread
  }

  /** Resolves when the server takes requests; rejects if it never will. */
  get ready(): Promise<void> {
    return this.#readiness.promise;
  }

  stats(): ServerStats {
    const { dropped = 0 } = (this.#host.socket ?? {}) as { dropped?: number };
    const { counts, meter, open } = this.cycle;
    return { ...counts, open: open.size, dropped, ...meter.stats() };
  }

  /** Serves until a signal and `drainDelay`, or until `stop` is called. */
  async forever(options: ServeOptions, stop: () => void): Promise<void> {
    const { signal, signals = [], drainDelay = 0 } = options;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isOver = false;
    const leave = () => {
      if (isOver) return; // signals are handled for a moment more
      // A second signal does not wait
      if (drainDelay === 0 || this.isStopping) return stop();
      this.isStopping = true;
      timer = setTimeout(stop, drainDelay);
    };
    await using _signals = new Signals(signals, leave);
    signal?.addEventListener("abort", leave);
    try {
      const consumer = new Consumer(Infinity, () => this.cycle.afterTurn());
      const serving = this.#consume(consumer, Infinity);
      if (signal?.aborted) leave();
      await serving;
    } finally {
      isOver = true;
      this.isStopping = false;
      clearTimeout(timer);
      signal?.removeEventListener("abort", leave);
    }
  }

  /** Serves one request to its end. */
  async once(): Promise<void> {
    let taken: Promise<void> | null = null;
    const consumer = new Consumer(1, () => void (taken = this.#lastTaken));
    const timeout = this.#host.timeout ?? Infinity;
    const inTime = await this.#consume(consumer, timeout);
    // It may call shutdown(): there is no consumer any more
    if (!inTime) await this.#host.handleTimeout();
    await taken;
  }

  /** Ends the serving of this object, not that of its replicas. */
  async endServing(): Promise<void> {
    this.#consumer?.end();
    await this.#consuming;
  }

  /** Ends the serving with an error. */
  failServing(error: Error): void {
    this.#readiness.reject(error);
    this.#consumer?.fail(error);
  }

  /** Applies limits here and to the replicas. */
  setLimits(limits: ServerLimits): void {
    const { [role]: part, [settings]: options } = this.#host;
    const given = Object.entries(limits).filter(([, limit]) =>
      limit !== undefined
    );
    const changed: ServerLimits = Object.fromEntries(given);
    part.assertLimits(changed);
    Object.assign(options, changed);
    this.cycle.setLimits(changed, () => this.#room());
    part.setLimits(changed);
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

  /** Takes requests until the consumer ends; false if that was `timeout`. */
  async #consume(consumer: Consumer, timeout: number): Promise<boolean> {
    this.listening.assertOpen("serve");
    adoptFields(this.#host);
    if (this.#consumer !== null) {
      throw new TypeError(
        "Cannot serve: the server is already serving; call shutdown() first",
      );
    }
    this.#consumer = consumer;
    const consuming = this.#run(consumer, timeout);
    this.#consuming = consuming.catch(() => {});
    return await consuming;
  }

  async #run(consumer: Consumer, timeout: number): Promise<boolean> {
    const host = this.#host;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let inTime = true;
    try {
      // Each wait ends with the consumer: shutdown() must not wait for a hook
      await consumer.until(this.#begin(consumer));
      if (consumer.isEnded) return true;
      this.#readiness.resolve();
      if (timeout !== Infinity) {
        timer = setTimeout(() => inTime = !consumer.end(), timeout);
      }
      this.#loop.begin(consumer);
      await consumer.ended;
      return inTime;
    } finally {
      clearTimeout(timer);
      this.#loop.dismiss();
      await host[role].pause();
      host.acceptor?.unref?.();
      this.#consumer = null;
    }
  }

  /** Waits until requests can be taken. */
  async #begin(consumer: Consumer): Promise<void> {
    const host = this.#host;
    try {
      await this.listening.activation;
    } catch (error) {
      // After a failed resume() another may succeed
      if (!this.listening.isSuspended) this.#readiness.reject(error);
      throw error;
    }
    // The parent emits the events of its replicas
    if (!host[role].bindsLater) await this.telemetry.openChannels();
    if (consumer.isEnded) return;
    this.listening.assertUsable();
    host.acceptor?.ref?.();
    try {
      const part = await loadRole(host);
      if (consumer.isEnded) return;
      part.watch();
      await part.start(consumer.left === Infinity);
    } catch (error) {
      if (!consumer.isEnded) this.#readiness.reject(error);
      throw error;
    }
  }

  async #close(): Promise<DrainReport> {
    const deadline = performance.now() + this.#host.shutdownTimeout;
    this.cycle.drained = { completed: 0, aborted: [] };
    this.#readiness.reject(this.listening.closedError("serve"));
    const report = await this.listening.close(
      deadline,
      () => this.endServing(),
      () => this.telemetry.emit("drainStart", { open: this.cycle.open.size }),
    );
    this.telemetry.emit("drainEnd", { report });
    return report;
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
