/**
 * The listener of a server, and its one owner. Operations on it are carried out
 * one after the other, in the order of their calls.
 *
 * ```text
 *             aside ────┐
 *               ⇅       ▼
 * unbound ─▶ listening ⇄ suspended
 *    └──────────┴───────────┴──▶ closed
 * ```
 *
 * | operation   | unbound   | listening               | aside     | suspended | closed  |
 * | ----------- | --------- | ----------------------- | --------- | --------- | ------- |
 * | `bind`      | opens     | nothing                 | –         | opens     | –       |
 * | `stepAside` | nothing   | closes, if nobody comes | nothing   | nothing   | nothing |
 * | `stepBack`  | nothing   | nothing                 | opens     | nothing   | nothing |
 * | `suspend`   | suspended | empties, closes         | suspended | nothing   | nothing |
 * | `resume`    | nothing   | nothing                 | nothing   | opens     | throws  |
 * | `reopen`    | nothing   | empties, closes, opens  | opens, … | nothing   | throws  |
 * | `close`     | closed    | empties, closes         | closed    | closed    | –       |
 *
 * It empties a queue before it closes it. A server is aside while its replicas
 * alone listen on the port; for `reopen` it opens its listener first, since they
 * leave the port for a moment. If opening fails, it stays suspended, and
 * `resume()` tries again; or aside, until a replica starts or ends. A socket of
 * packets stays open while it is suspended, because replies need it; packets are
 * refused.
 *
 * A consumer, `serveForever()` or `handleRequest()`, takes requests while the
 * server listens, and waits while it is suspended. Its end is no operation:
 * neither waits for the other, so `shutdown()` can be awaited anywhere.
 *
 * @module
 */

import { grace, printable } from "../../handlers/_internal.ts";
import { loadRole, role, type ServerRole } from "../_internal.ts";
import type { Acceptor } from "../acceptor.ts";
import { formatAddress } from "../addresses.ts";
import type { DrainReport } from "../options.ts";
import { ServerClosedError } from "../errors.ts";
import type { AcceptLoop } from "./accept_loop.ts";
import { closeAnyhow, closeQuietly } from "./faults.ts";
import type { RequestCycle } from "./request_cycle.ts";
import { inTime, pause } from "../../workers/base/waits.ts";

/** How long leaving a listener may take before it is done less gently. */
const LEAVE_MS = 1_000;
/** How long a starting child may have a copy of a closed listener. */
const COPIED_MS = 2_000;
const RETRY_MS = 10;
const LAST_LOOKS = 3;
const LAST_LOOK_MS = 5;
/** The queue size that Deno sets for a Unix socket. */
const UNIX_QUEUE_SIZE = 1_024;
/** How long aborted handlers have to end. */
const ABORT_GRACE_MS = 100;

/** The server, as its listener sees it. */
export interface ListeningHost {
  socket: unknown;
  acceptor: Acceptor | null;
  readonly serverAddress: Deno.Addr;
  readonly requestQueueSize: number;
  readonly shutdownTimeout: number;
  [role]: ServerRole;
  serverBind(): void | Promise<void>;
  serverActivate(): void | Promise<void>;
}

/** Opens and closes a server's listener. */
export class Listening<R> {
  #host: ListeningHost;
  #loop: AcceptLoop<R>;
  #cycle: RequestCycle<R>;
  #activation: Promise<void> | null = null;
  #isSuspended = false;
  #isAside = false;
  #isClosed = false;
  #isOver = false;
  /** When the close cuts off what is open. */
  #deadline = Infinity;
  /** The number of operations that have not ended, and the end of the last. */
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    host: ListeningHost,
    loop: AcceptLoop<R>,
    cycle: RequestCycle<R>,
  ) {
    this.#host = host;
    this.#loop = loop;
    this.#cycle = cycle;
  }

  /** Settles when the listener that is being opened can be used. */
  get activation(): Promise<void> | null {
    return this.#activation;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get isSuspended(): boolean {
    return this.#isSuspended;
  }

  /** Whether the replicas alone listen. */
  get isAside(): boolean {
    return this.#isAside;
  }

  /** Throws if nobody listens, and no operation may change that. */
  assertUsable(): void {
    if (this.#host.acceptor !== null || this.#waiting > 0) return;
    if (this.#isAside) return;
    throw new TypeError(
      this.#isSuspended
        ? "Cannot serve: the server is suspended; call resume() first"
        : "Cannot serve: the server is not bound; call serverBind() and serverActivate() first",
    );
  }

  /** Throws if the server is closed. */
  assertOpen(what: string): void {
    if (!this.#isClosed) return;
    throw this.closedError(what);
  }

  closedError(what: string): ServerClosedError {
    const at = formatAddress(this.#host.serverAddress);
    return new ServerClosedError(
      `Cannot ${what} on ${at}: the server was closed`,
    );
  }

  /** Opens the listener, if there is none. */
  bind(): void {
    this.#open();
    this.#loop.enter();
  }

  #open(listener: Deno.Listener | null = null): void {
    const host = this.#host;
    if (host.acceptor !== null) return;
    try {
      if (listener !== null) host.socket = listener;
      const bound = listener === null ? host.serverBind() : undefined;
      const activation = bound instanceof Promise
        ? bound.then(() => host.serverActivate())
        : host.serverActivate();
      this.#activation = activation?.catch((error) => this.#undo(error)) ??
        null;
    } catch (error) {
      this.#undo(error);
    }
    const activated = this.#activation?.catch(() => {}); // forever() reports it
    this.#last = Promise.all([this.#last, activated]);
  }

  /** Opening has failed with an error: the next try begins anew. */
  #undo(error: unknown): never {
    const host = this.#host;
    const { acceptor, socket } = host;
    host.acceptor = host.socket = null;
    closeQuietly(acceptor ?? socket);
    throw error;
  }

  /** Leaves connections to replicas at the same socket, or takes them. */
  mute(muted: boolean): void {
    this.#loop.mute(muted);
  }

  /** Since when it has waited for a client; `null` if it does not wait. */
  get waitsSince(): number | null {
    return this.#loop.waitsSince;
  }

  /** Leaves the address to replicas, if still wanted and no client comes. */
  stepAside(isMeant: () => boolean): Promise<void> {
    return this.#inTurn(async () => {
      const since = this.waitsSince;
      if (since === null || this.#isClosed || !isMeant()) return;
      // Clients that came while the program stood still have not been seen yet
      for (let i = 0; i < LAST_LOOKS; i++) await pause(LAST_LOOK_MS);
      if (this.waitsSince !== since || this.#isClosed || !isMeant()) return;
      this.#isAside = true;
      this.#loop.leave();
      await this.#closeListener();
    });
  }

  /** Listens beside the replicas again. */
  async stepBack(): Promise<void> {
    if (!this.#isAside) return;
    await this.#inTurn(async () => {
      if (this.#isAside && !this.#isClosed) await this.#enter();
    });
  }

  suspend(): Promise<void> {
    this.assertOpen("suspend");
    return this.#inTurn(async () => {
      // A close is on its way: it does more
      if (this.#isSuspended || this.#isClosed) return;
      const part = await loadRole(this.#host);
      this.#isSuspended = true;
      this.#isAside = false;
      await part.suspend();
      if (this.#host.acceptor?.carriesReplies) this.#cycle.refuses = true;
      else await this.leave();
    });
  }

  resume(): Promise<void> {
    this.assertOpen("resume");
    return this.#inTurn(async () => {
      this.assertOpen("resume");
      if (this.#isSuspended) await this.#enter();
    });
  }

  /**
   * Replaces the listener while the serving goes on, after `change()`: by that of
   * `openBeside`, or by one opened when the old one is closed.
   */
  reopen(
    change: () => Promise<void>,
    openBeside: () => Deno.Listener | null,
  ): Promise<void> {
    const what = "replace the certificate";
    this.assertOpen(what);
    return this.#inTurn(async () => {
      this.assertOpen(what);
      // The replicas leave the port for a moment, one after the other
      if (this.#isAside) await this.#enter();
      await change();
      if (this.#isSuspended || this.#host.acceptor === null) return;
      const listener = openBeside();
      this.#isSuspended = true;
      await this.leave();
      await this.#enter(listener);
    });
  }

  /** Closes the listener when its queue is empty. */
  async leave(): Promise<void> {
    const host = this.#host;
    const { silence } = host[role];
    await this.#gather(performance.now() + LEAVE_MS + 2 * silence);
    if (host.acceptor !== null) await this.#closeListener();
  }

  /** Closes the listener; another one may be opened. */
  async #closeListener(): Promise<void> {
    await this.#closeAcceptor();
    this.#host.acceptor = this.#host.socket = null;
  }

  /**
   * Closes the listener for good, and ends all requests by `deadline`. The
   * operations under way have as long: hooks of the user may be in them.
   */
  async close(
    deadline: number,
    shutdown: () => Promise<void>,
    begun: () => void,
  ): Promise<DrainReport> {
    this.#isClosed = true;
    await shutdown();
    await inTime(this.#last, deadline - performance.now());
    await loadRole(this.#host).catch(() => {}); // without it no replica began
    begun();
    // Nobody else would close what an operation opens from now on
    this.#isOver = true;
    this.hasten(deadline);
    return await this.#drain(this.#deadline);
  }

  /** Gives the close, now or later, this earlier deadline. */
  hasten(deadline: number): void {
    if (deadline >= this.#deadline) return;
    this.#deadline = deadline;
    this.#cycle.open.limitWait(Math.max(0, deadline - performance.now()));
  }

  /** Serves the queue, closes the socket, waits, then aborts the rest. */
  async #drain(deadline: number): Promise<DrainReport> {
    const { [role]: part, acceptor } = this.#host;
    const { open, lingering } = this.#cycle;
    const left = () => this.#deadline - performance.now();
    const carriesReplies = acceptor?.carriesReplies === true;
    this.#cycle.drain(deadline);
    part.drain(deadline);
    await this.#gather(deadline);
    if (!carriesReplies) await this.#closeAcceptor();
    part.left();
    await inTime(this.#loop.begun(), left());
    if (carriesReplies) await open.ended(left());
    // Requests in their TLS handshake, for example, go to a replica after it
    await inTime(open.processed(), left());
    const finished = part.finish(deadline);
    await open.ended(left());
    const aborted = await this.#abort();
    if (carriesReplies) await this.#closeAcceptor();
    const others = await finished;
    await lingering.ended();
    const { completed, aborted: before } = this.#cycle.drained!;
    const all = [...before, ...aborted, ...others];
    return { completed, aborted: all.map(printable) };
  }

  /** Takes what the system has queued, unless other listeners do. */
  async #gather(deadline: number): Promise<void> {
    const { acceptor, requestQueueSize, serverAddress, [role]: part } =
      this.#host;
    this.#loop.leave();
    if (acceptor === null || part.sharesQueue || this.#loop.isMuted) return;
    acceptor.ref?.();
    const isTcp = serverAddress.transport === "tcp";
    const limit = (isTcp ? requestQueueSize : UNIX_QUEUE_SIZE) + 1;
    const { silence } = part;
    // The other half of the time is for the clients that come last
    const now = performance.now();
    const until = silence > 0 ? now + (deadline - now) / 2 : deadline;
    await this.#loop.gather(limit, until, () => part.silence);
  }

  /** Closes the socket and serves the request of its last accept. */
  async #closeAcceptor(): Promise<void> {
    const { acceptor, socket } = this.#host;
    if (acceptor === null) return closeQuietly(socket);
    closeQuietly(acceptor);
    // An overridden getRequest() may wait for the very call that closes
    await inTime(this.#loop.settle(), LEAVE_MS);
  }

  /** Aborts the requests still open; returns their clients. */
  async #abort(): Promise<Deno.Addr[]> {
    const { open } = this.#cycle;
    const { shutdownTimeout, [role]: part } = this.#host;
    const reason = new ServerClosedError(
      `The request was aborted: the server closed and waited ${shutdownTimeout} ms`,
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

  /** Carries out an operation after those before it. */
  async #inTurn(operation: () => Promise<void>): Promise<void> {
    const done = this.#last.then(operation);
    this.#last = done.catch(() => {}); // its caller gets the error
    this.#waiting++;
    try {
      await done;
    } finally {
      this.#waiting--;
    }
  }

  /** Opens the listener again, or takes this one, and the server serves on. */
  async #enter(listener: Deno.Listener | null = null): Promise<void> {
    await this.#reopen(listener);
    if (this.#isOver) {
      await this.#closeAcceptor();
      throw this.closedError("listen");
    }
    if (this.#isSuspended) await this.#host[role].resume();
    this.#isSuspended = this.#isAside = this.#cycle.refuses = false;
    this.#loop.enter();
  }

  /**
   * A child that the program starts just then has a copy of the old listener
   * until it runs: so long the address is in use.
   */
  async #reopen(listener: Deno.Listener | null): Promise<void> {
    const deadline = performance.now() + COPIED_MS;
    for (;;) {
      try {
        this.#open(listener);
        return await this.#activation ?? undefined;
      } catch (error) {
        const isOver = this.#isClosed || performance.now() > deadline;
        if (isOver || !(error instanceof Deno.errors.AddrInUse)) throw error;
      }
      await pause(RETRY_MS);
    }
  }
}
