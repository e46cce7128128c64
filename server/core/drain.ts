/**
 * The end of a server: it loses no request that has arrived, and none outlasts
 * the deadline.
 *
 * @module
 */

import type { ServerRole } from "../_internal.ts";
import type { Acceptor } from "../acceptor.ts";
import type { DrainReport } from "../drain_report.ts";
import { ServerClosedError } from "../errors.ts";
import type { AcceptLoop } from "./accept_loop.ts";
import { closeQuietly } from "./faults.ts";
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

/** Calls back at the first signal, until disposed. */
export class Signals implements AsyncDisposable {
  #stop: () => void;
  #listening: Deno.Signal[] = [];
  #came = false;

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
    if (this.#came) {
      await new Promise((resolve) => setTimeout(resolve, ECHO_MS));
    }
    this.#remove();
  }

  #onSignal = (): void => {
    if (this.#came) return;
    this.#came = true;
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

  /**
   * Takes the backlog unless others do, closes the socket, waits, then aborts
   * the rest.
   */
  async run(deadline: number, part: ServerRole): Promise<DrainReport> {
    const { open, completed: before } = this.#cycle;
    this.#cycle.drain(deadline);
    part.drain(deadline);
    if (!part.sharesQueue) await this.acceptBacklog(deadline);
    const carriesReplies = this.#server.acceptor?.carriesReplies === true;
    if (!carriesReplies) await this.closeAcceptor();
    this.#loop.takeArrived();
    if (carriesReplies) {
      // The accept under way may take one more packet meanwhile
      await open.ended(deadline - performance.now());
      this.#loop.takeArrived();
    }
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

  /** Takes the connections that the system has queued. */
  async acceptBacklog(deadline: number): Promise<void> {
    const { acceptor, requestQueueSize, serverAddress } = this.#server;
    if (acceptor === null) return;
    acceptor.ref?.();
    this.#loop.begin();
    const isTcp = serverAddress.transport === "tcp";
    const limit = (isTcp ? requestQueueSize : UNIX_QUEUE_SIZE) + 1;
    try {
      await this.#loop.runUntilQuiet(limit, deadline);
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }

  /** Closes the socket and serves the request of its last accept. */
  async closeAcceptor(): Promise<void> {
    const { acceptor, socket } = this.#server;
    if (acceptor === null) return closeQuietly(socket);
    closeQuietly(acceptor);
    await this.#loop.settle();
    if (!acceptor.carriesReplies) this.#loop.takeArrived();
  }

  /** Aborts the requests still open; returns their clients. */
  async #abort(part: ServerRole): Promise<Deno.Addr[]> {
    const { open } = this.#cycle;
    const reason = new ServerClosedError(
      `The request was aborted: the server closed and waited ${this.#server.shutdownTimeout} ms`,
    );
    const aborted = open.abort(reason);
    part.aborted(aborted.map(({ clientAddress }) => clientAddress));
    const times = open.list().map(({ handler }) => handler?.[grace] ?? 0);
    await open.ended(Math.max(ABORT_GRACE_MS, ...times));
    return aborted.filter(({ relayed }) => !relayed)
      .map(({ clientAddress }) => clientAddress);
  }
}
