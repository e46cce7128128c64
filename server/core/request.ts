/**
 * The open requests of a server, and their handlers.
 *
 * @module
 */

import { abort, printable, release } from "../../handlers/_internal.ts";
import type { BaseRequestHandler } from "../../handlers/base_request_handler.ts";
import type { OpenConnection } from "../open_connection.ts";
import { closeAnyhow } from "./faults.ts";
import { watchConn, type WatchedConn } from "./watched_conn.ts";
import { quote } from "../../workers/base/check.ts";

/** The key of a request's {@linkcode OpenRequest}. */
const OPEN: unique symbol = Symbol("open");

/** A request, from its acceptance to its end. */
export class OpenRequest<R = unknown> {
  readonly request: R;
  /** The client's address, or its proxy's until the header is read. */
  clientAddress: Deno.Addr;
  /** Whether the parent or another replica has accepted it, and counts it. */
  readonly relayed: boolean;
  /** Its place in the list. */
  index: number;
  handler: BaseRequestHandler | null = null;
  /** Knows its reads and writes, if it is a connection that is served here. */
  conn: WatchedConn | null = null;
  /** Ends the request's wait before it has a handler. */
  cancel: (() => void) | null = null;
  aborted = false;
  /** The reason of its abort. */
  reason: unknown = null;
  /** Whether an error of it was reported. */
  failed = false;
  /** The time when it began; 0 for a packet without a deadline. */
  began = 0;
  /** The time when it began; `null` if it did not, or not here. */
  started: number | null = null;
  /** Whether `processRequest()` was called, or never will be. */
  processed: boolean;
  /** Whether `shutdownRequest()` was called. */
  shut = false;
  /** Whether a replica has it or died with it, or no handler was made for it. */
  lost = false;
  /** Whether its connection is kept for the client to read the rest. */
  lingers = false;
  /** Whether nothing more can come from the client, as far as is known. */
  isOver = false;
  /** Counts its bytes, if the event has a listener. */
  bytes: { readonly bytesRead: number; readonly bytesWritten: number } | null =
    null;
  /** Its number for users; 0 if none has asked. */
  id = 0;
  /** Its number between a replica and its server; 0 if it has none. */
  number = 0;

  constructor(
    request: R,
    clientAddress: Deno.Addr,
    relayed: boolean,
    index: number,
  ) {
    this.request = request;
    this.clientAddress = clientAddress;
    this.relayed = relayed;
    this.index = index;
    this.processed = relayed;
  }
}

/**
 * Keeps the open requests, notifies their handlers, waits for their end.
 *
 * It is an array, not a map. A map that grows and shrinks with each
 * request leaves a chain of old tables, through which the garbage collector
 * keeps old requests; this cost a tenth of the packets per second.
 */
export class OpenRequests<R> {
  #open: OpenRequest<R>[] = [];
  #unmarked: Map<R, OpenRequest<R>> = new Map();
  /** When what is still open is cut off, once the server closes. */
  #deadline: number | null = null;
  #emptied: (() => void) | null = null;
  #emptyTimer: ReturnType<typeof setTimeout> | undefined;
  #entering = 0;
  #lastId = 0;
  #allProcessed: (() => void) | null = null;

  get size(): number {
    return this.#open.length;
  }

  add(
    request: R,
    clientAddress: Deno.Addr,
    relayed: boolean,
  ): OpenRequest<R> {
    const { length } = this.#open;
    const open = new OpenRequest(request, clientAddress, relayed, length);
    this.#open.push(open);
    if (!relayed) this.#entering++;
    try {
      (request as Marked<R>)[OPEN] = open;
    } catch {
      this.#unmarked.set(request, open); // it takes no properties
    }
    return open;
  }

  /** Knows the reads and writes of a connection from now on. */
  watch(open: OpenRequest<R>): void {
    if ("packet" in Object(open.request)) return;
    const { age = 0 } = (open.request ?? {}) as { age?: number };
    open.began = open.started ?? performance.now() - (open.relayed ? age : 0);
    open.conn = watchConn(open.request, open.began);
    if (this.#deadline !== null) open.conn?.drain(this.#deadline);
  }

  /** Its handler begins so much later than it came that it matters. */
  setBegan(open: OpenRequest<R>): void {
    open.began = performance.now();
    open.conn?.begin(open.began);
  }

  /** `processRequest()` is about to be called, or never will be. */
  process(open: OpenRequest<R>): void {
    // Of several that are equal, such as `null`, this one's hooks begin
    if (this.#unmarked.size > 0 && this.find(open.request) !== open) {
      this.#unmarked.set(open.request, open);
    }
    this.#pass(open);
  }

  delete(open: OpenRequest<R>): void {
    this.#pass(open);
    const last = this.#open.pop()!;
    if (last !== open) {
      this.#open[open.index] = last;
      last.index = open.index;
    }
    if (this.#unmarked.get(open.request) === open) {
      this.#unmarked.delete(open.request);
    }
    if (this.#open.length === 0) this.#emptied?.();
  }

  /** Ends the input of connections that are in no request, also later ones. */
  drain(deadline: number): void {
    this.#deadline = Math.min(this.#deadline ?? Infinity, deadline);
    for (const { conn } of this.#open) conn?.drain(deadline);
  }

  /** The open requests. */
  list(): OpenRequest<R>[] {
    return [...this.#open];
  }

  /** The open requests for users. */
  connections(): OpenConnection[] {
    return this.#open.map((open) => {
      const { clientAddress, conn } = open;
      const began = open.started ?? (open.began || performance.now());
      return {
        id: String(open.id ||= ++this.#lastId),
        clientAddress: printable(clientAddress),
        since: new Date(performance.timeOrigin + began),
        ...(conn !== null && { bytesRead: conn.bytesRead }),
      };
    });
  }

  /** The request that has this number for users. */
  named(id: string): OpenRequest<R> | undefined {
    return this.#open.find((one) => one.id > 0 && String(one.id) === id);
  }

  /** Aborts the open requests; returns those that were not aborted before. */
  abort(reason: unknown): OpenRequest<R>[] {
    const aborted = this.list().filter((open) => !open.aborted);
    for (const open of aborted) cutOff(open, reason);
    return aborted;
  }

  /** Settles when no request is open, or after `timeout` ms. */
  ended(timeout: number): Promise<void> {
    if (this.#open.length === 0 || timeout <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#emptied = () => {
        this.#emptied = null;
        clearTimeout(this.#emptyTimer);
        resolve();
      };
      this.limitWait(timeout);
    });
  }

  /** A wait for the end of all requests lasts `timeout` ms more at most. */
  limitWait(timeout: number): void {
    clearTimeout(this.#emptyTimer);
    if (timeout === Infinity || this.#emptied === null) return;
    this.#emptyTimer = setTimeout(() => this.#emptied?.(), timeout);
  }

  /** Settles when no request still waits for its call of `processRequest()`. */
  processed(): Promise<void> {
    if (this.#entering === 0) return Promise.resolve();
    return new Promise((resolve) => this.#allProcessed = resolve);
  }

  find(request: R): OpenRequest<R> | undefined {
    const open = (request as Partial<Marked<R>> | null)?.[OPEN];
    return open ?? this.#unmarked.get(request);
  }

  #pass(open: OpenRequest<R>): void {
    if (open.processed) return;
    open.processed = true;
    if (--this.#entering === 0) this.#allProcessed?.();
  }
}

type Marked<R> = { [OPEN]: OpenRequest<R> };

/** Aborts a handler and closes its connection. */
export function cutOff(open: OpenRequest, reason: unknown): void {
  open.aborted = true;
  open.reason = reason;
  open.handler?.[abort]?.(reason);
  open.cancel?.();
  closeAnyhow(open.request);
}

/** Cuts it off for the server's user; false if it was cut off before. */
export function disconnect(open: OpenRequest | undefined): boolean {
  if (open === undefined || open.aborted) return false;
  const reason = new Deno.errors.ConnectionAborted(
    "The connection was ended by disconnect()",
  );
  cutOff(open, reason);
  return true;
}

/** Throws unless it is a handler class. */
export function checkHandler(handler: unknown): void {
  if (typeof handler !== "function" || handler.prototype === undefined) {
    throw new TypeError(
      `Cannot handle requests with ${
        quote(handler)
      }: expected a class that extends BaseRequestHandler; give its instances values by the option "context"`,
    );
  }
  const { setup, finish, handle } = handler.prototype;
  if ([setup, finish, handle].some((method) => typeof method !== "function")) {
    throw new TypeError(
      `Cannot handle requests with class "${handler.name}": it must extend BaseRequestHandler and have a method handle(); for values of its own use the option "context", not a function that makes it`,
    );
  }
}

/** Calls a handler's methods, then releases it. */
export async function runHandler(handler: BaseRequestHandler): Promise<void> {
  // Awaits only promises: for packets each await is measurable
  try {
    const setUp = handler.setup();
    if (setUp !== undefined) await setUp;
    try {
      const handled = handler.handle();
      if (handled !== undefined) await handled;
    } catch (error) {
      await finishAfter(handler, error);
      throw error;
    }
    const finished = handler.finish();
    if (finished !== undefined) await finished;
  } finally {
    const released = handler[release]?.();
    if (released !== undefined) await released;
  }
}

/** Of two errors, throws the later one with the earlier as its cause. */
async function finishAfter(
  handler: BaseRequestHandler,
  earlier: unknown,
): Promise<void> {
  try {
    await handler.finish();
  } catch (error) {
    const extensible = error instanceof Error && Object.isExtensible(error);
    if (extensible && error !== earlier) {
      error.cause ??= earlier;
    }
    throw error;
  }
}
