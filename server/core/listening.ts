/**
 * The listener of a server: opened, left, suspended and replaced while the
 * serving goes on.
 *
 * @module
 */

import { loadRole, role, type ServerRole } from "../_internal.ts";
import type { AcceptLoop } from "./accept_loop.ts";
import { closeQuietly } from "./faults.ts";
import type { Drain } from "./drain.ts";
import type { RequestCycle } from "./request_cycle.ts";

/** How long a listener that is replaced is drained. */
const REOPEN_MS = 100;

/** The server, as its listener sees it. */
export interface ListeningHost {
  socket: unknown;
  acceptor: { carriesReplies?: boolean } | null;
  readonly shutdownTimeout: number;
  [role]: ServerRole;
  serverBind(): void | Promise<void>;
  serverActivate(): void | Promise<void>;
}

/** Opens and closes a server's listener. */
export class Listening<R> {
  #host: ListeningHost;
  #loop: AcceptLoop<R>;
  #drain: Drain<R>;
  #cycle: RequestCycle<R>;
  #consuming: () => Promise<unknown> | null;
  #activation: Promise<void> | null = null;
  /** Set while suspended; resolves with whether the serving goes on. */
  #suspension: PromiseWithResolvers<boolean> | null = null;
  #suspending: Promise<void> | null = null;
  #reopening: Promise<void> | null = null;

  /** `consuming` returns what settles when the serving has ended. */
  constructor(
    host: ListeningHost,
    loop: AcceptLoop<R>,
    drain: Drain<R>,
    cycle: RequestCycle<R>,
    consuming: () => Promise<unknown> | null,
  ) {
    this.#host = host;
    this.#loop = loop;
    this.#drain = drain;
    this.#cycle = cycle;
    this.#consuming = consuming;
  }

  /** Settles when the listener can be used. */
  get activation(): Promise<void> | null {
    return this.#activation;
  }

  get isSuspended(): boolean {
    return this.#suspension !== null;
  }

  /** Settles when no suspension is under way, nor the end of one. */
  get suspending(): Promise<void> | null {
    return this.#suspending;
  }

  /** Settles when no listener is being replaced. */
  get reopening(): Promise<void> | null {
    return this.#reopening;
  }

  /** Whether the serving goes on; waits while it is suspended. */
  get goesOn(): Promise<boolean> | false {
    return this.#suspension?.promise ?? false;
  }

  /** Ends the serving, also while it is suspended. */
  end(): void {
    this.#suspension?.resolve(false);
  }

  fail(error: Error): void {
    this.#suspension?.reject(error);
  }

  /** Opens the listener, or takes an open one, if there is none. */
  join(listener: Deno.Listener | null = null): void {
    const host = this.#host;
    if (host.acceptor !== null) return;
    try {
      if (listener !== null) host.socket = listener;
      const bound = listener === null ? host.serverBind() : undefined;
      this.#activation = bound instanceof Promise
        ? bound.then(() => host.serverActivate())
        : host.serverActivate() ?? null;
      this.#activation?.catch(() => {}); // forever() reports it
    } catch (error) {
      closeQuietly(host.acceptor ?? host.socket);
      throw error;
    }
  }

  /** Closes the listener, after at most `longest` ms for its queue. */
  async leave(longest: number = this.#host.shutdownTimeout): Promise<void> {
    const host = this.#host;
    if (host.acceptor === null) return;
    await this.#activation?.catch(() => {});
    if (!host[role].sharesQueue) {
      await this.#drain.acceptBacklog(performance.now() + longest);
    }
    await this.#drain.closeAcceptor();
    host.acceptor = null;
    host.socket = null;
  }

  async suspend(): Promise<void> {
    if (this.#reopening !== null) await this.#reopening.catch(() => {});
    if (this.#suspension === null) this.#suspend(() => this.#stopListening());
    await this.#suspending;
  }

  async resume(): Promise<void> {
    if (this.#reopening !== null) await this.#reopening.catch(() => {});
    await this.#suspending;
    if (this.#suspension === null) return;
    await this.#resume(null, this.#host[role]);
    this.#cycle.refuses = false;
  }

  /** Replaces the listener, one replacement after the other. */
  async reopen(openBeside: () => Deno.Listener | null): Promise<void> {
    const before = this.#reopening ?? this.#suspending;
    const reopening = this.#reopening = this.#reopen(before, openBeside);
    try {
      await reopening;
    } finally {
      if (this.#reopening === reopening) this.#reopening = null;
    }
  }

  #suspend(stop: () => Promise<void>): void {
    this.#suspension = Promise.withResolvers();
    this.#suspension.promise.catch(() => {}); // forever() awaits it
    const suspending = async () => {
      try {
        await stop();
      } catch (error) {
        this.#suspension = null;
        throw error;
      } finally {
        this.#suspending = null;
      }
    };
    this.#suspending = suspending();
  }

  async #resume(
    listener: Deno.Listener | null,
    part: ServerRole | null,
  ): Promise<void> {
    this.join(listener);
    await this.#activation;
    await part?.resume();
    this.#suspension?.resolve(true);
    this.#suspension = null;
  }

  async #stopListening(): Promise<void> {
    await (await loadRole(this.#host)).suspend();
    // Replies need the socket of the packets
    if (this.#host.acceptor?.carriesReplies) this.#cycle.refuses = true;
    else await this.#leaveServing();
  }

  async #leaveServing(longest?: number): Promise<void> {
    if (this.#loop.isStopping) await this.#consuming();
    this.#loop.release();
    await this.leave(longest);
  }

  async #reopen(
    before: Promise<void> | null,
    openBeside: () => Deno.Listener | null,
  ): Promise<void> {
    await before?.catch(() => {});
    if (this.#suspension !== null || this.#host.acceptor === null) return;
    const listener = openBeside();
    this.#suspend(() => this.#leaveServing(REOPEN_MS));
    try {
      await this.#suspending;
    } catch (error) {
      closeQuietly(listener);
      throw error;
    }
    await this.#resume(listener, null);
  }
}
