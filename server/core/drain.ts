/**
 * The end of a server: it loses no request that has arrived, and none outlasts
 * the deadline.
 *
 * @module
 */

import { role, type ServerRole } from "../_internal.ts";
import type { Acceptor } from "../acceptor.ts";
import type { DrainReport } from "../drain_report.ts";
import { ServerClosedError } from "../errors.ts";
import type { AcceptLoop } from "./accept_loop.ts";
import { closeAnyhow, closeQuietly } from "./faults.ts";
import { printable } from "../../handlers/_address.ts";
import { grace } from "../../handlers/_internal.ts";
import type { RequestCycle } from "./request_cycle.ts";

/** The result of `work`, or `null` if there is none within `timeout` ms. */
export async function inTime<T>(
  work: Promise<T>,
  timeout: number,
): Promise<T | null> {
  const { promise, resolve } = Promise.withResolvers<null>();
  const timer = timeout === Infinity
    ? undefined
    : setTimeout(resolve, Math.max(0, timeout), null);
  try {
    return await Promise.race([work.catch(() => null), promise]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Under `deno task` a Ctrl-C arrives twice in short succession: from the
 * terminal and from the task.
 */
export const ECHO_MS = 100;

/** Calls back at each signal but the echo of the first, until disposed. */
export class Signals implements AsyncDisposable {
  #stop: () => void;
  #listening: Deno.Signal[] = [];
  #cameAt: number | null = null;

  constructor(names: Deno.Signal[], stop: () => void) {
    this.#stop = stop;
    try {
      for (const name of names) {
        Deno.addSignalListener(name, this.#onSignal);
        this.#listening.push(name);
      }
    } catch (error) {
      this.#remove();
      throw error;
    }
  }

  /**
   * Stops handling signals. After one it waits a moment: a second copy may
   * follow.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#cameAt !== null) {
      const left = this.#cameAt + ECHO_MS - performance.now();
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, left)));
    }
    this.#remove();
  }

  #onSignal = (): void => {
    const now = performance.now();
    if (this.#cameAt !== null && now - this.#cameAt < ECHO_MS) return;
    this.#cameAt ??= now;
    this.#stop();
  };

  #remove(): void {
    for (const name of this.#listening) {
      Deno.removeSignalListener(name, this.#onSignal);
    }
  }
}

/** The queue size that Deno sets for a Unix socket. */
const UNIX_QUEUE_SIZE = 1_024;
/** How long aborted handlers have to end. */
const ABORT_GRACE_MS = 100;

/** The server, as a drain sees it. */
export interface Drainable<R> {
  readonly acceptor: Acceptor<R> | null;
  readonly socket: unknown;
  readonly requestQueueSize: number;
  readonly serverAddress: Deno.Addr;
  readonly shutdownTimeout: number;
  [role]: ServerRole;
}

/** Ends the requests of a server. */
export class Drain<R> {
  #server: Drainable<R>;
  #loop: AcceptLoop<R>;
  #cycle: RequestCycle<R>;

  constructor(
    server: Drainable<R>,
    loop: AcceptLoop<R>,
    cycle: RequestCycle<R>,
  ) {
    this.#server = server;
    this.#loop = loop;
    this.#cycle = cycle;
  }

  /** Serves the queue, closes the socket, waits, then aborts the rest. */
  async run(deadline: number): Promise<DrainReport> {
    const part = this.#server[role];
    const { open, completed: before } = this.#cycle;
    const carriesReplies = this.#server.acceptor?.carriesReplies === true;
    this.#cycle.drain(deadline);
    part.drain(deadline);
    await this.gather(deadline);
    if (!carriesReplies) await this.closeAcceptor();
    await inTime(this.#loop.begun(), deadline - performance.now());
    if (carriesReplies) await open.ended(deadline - performance.now());
    // Requests in their TLS handshake, for example, go to a replica after it
    await inTime(open.processed(), deadline - performance.now());
    const finished = part.finish(deadline);
    await open.ended(deadline - performance.now());
    const aborted = await this.#abort(part);
    if (carriesReplies) await this.closeAcceptor();
    const completed = this.#cycle.completed - before;
    const [others] = await Promise.all([
      finished,
      this.#cycle.lingering.ended(),
    ]);
    const { cutOff } = this.#cycle;
    return {
      completed: completed + (others?.completed ?? 0),
      aborted: [...cutOff, ...aborted, ...others?.aborted ?? []].map(printable),
    };
  }

  /** Takes what the system has queued, unless other listeners do. */
  async gather(deadline: number): Promise<void> {
    const server = this.#server;
    const { acceptor, requestQueueSize, serverAddress } = server;
    this.#loop.leave();
    if (acceptor === null || server[role].sharesQueue) return;
    acceptor.ref?.();
    const isTcp = serverAddress.transport === "tcp";
    const limit = (isTcp ? requestQueueSize : UNIX_QUEUE_SIZE) + 1;
    await this.#loop.gather(limit, deadline);
  }

  /** Closes the socket and serves the request of its last accept. */
  async closeAcceptor(): Promise<void> {
    const { acceptor, socket } = this.#server;
    if (acceptor === null) return closeQuietly(socket);
    closeQuietly(acceptor);
    await this.#loop.settle();
  }

  /** Aborts the requests still open; returns their clients. */
  async #abort(part: ServerRole): Promise<Deno.Addr[]> {
    const { open } = this.#cycle;
    const reason = new ServerClosedError(
      `The request was aborted: the server closed and waited ${this.#server.shutdownTimeout} ms`,
    );
    const waiting = this.#loop.giveUp();
    for (const [request] of waiting) closeAnyhow(request);
    const aborted = open.abort(reason);
    part.aborted(aborted.map(({ clientAddress }) => clientAddress));
    const times = open.list().map(({ handler }) => handler?.[grace] ?? 0);
    await open.ended(Math.max(ABORT_GRACE_MS, ...times));
    return [
      ...aborted.filter(({ relayed }) => !relayed)
        .map(({ clientAddress }) => clientAddress),
      ...waiting.map(([_, clientAddress]) => clientAddress),
    ];
  }
}
