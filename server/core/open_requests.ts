/**
 * The requests that a server has open.
 *
 * @module
 */

import { abort, drain } from "../../handlers/_internal.ts";
import type { ByteMeter } from "./byte_meter.ts";
import type { BaseRequestHandler } from "../../handlers/base_request_handler.ts";
import { closeAnyhow } from "./disconnect.ts";

/** Under it a request carries its {@linkcode OpenRequest}. */
const OPEN: unique symbol = Symbol("open");

/** A request, from its acceptance to its end. */
export interface OpenRequest<R = unknown> {
  readonly request: R;
  /** Its own, or for now that of the proxy it comes through. */
  clientAddress: Deno.Addr;
  /** Whether another part of the server has accepted it, and counts it. */
  readonly relayed: boolean;
  handler: BaseRequestHandler | null;
  /** Ends what the request waits for before it has a handler. */
  cancel: (() => void) | null;
  aborted: boolean;
  /** Whether an error of it was reported. */
  failed: boolean;
  /** When it began to be served; `null` if it was not, or not here. */
  started: number | null;
  /** Counts its bytes, if somebody watches. */
  bytes: ByteMeter | null;
  /** Why it was aborted. */
  reason: unknown;
  /** Whether `shutdownRequest()` was called. */
  shut: boolean;
  /** Its place in the list. */
  index: number;
}

/**
 * Knows the open requests, tells their handlers, waits for their end.
 *
 * A list, and not a map of the requests: a map that grows and shrinks with
 * each leaves a chain of old tables that makes the garbage collector keep what
 * they held, which cost a tenth of the packets a second.
 */
export class OpenRequests<R> {
  #open: OpenRequest<R>[] = [];
  #unmarked: Map<R, OpenRequest<R>> = new Map();
  #draining = false;
  #emptied: (() => void) | null = null;

  get size(): number {
    return this.#open.length;
  }

  add(
    request: R,
    clientAddress: Deno.Addr,
    relayed: boolean,
  ): OpenRequest<R> {
    const open = {
      request,
      clientAddress,
      relayed,
      handler: null,
      cancel: null,
      aborted: false,
      failed: false,
      started: null,
      bytes: null,
      reason: null,
      shut: false,
      index: this.#open.length,
    };
    this.#open.push(open);
    if (Object.isExtensible(request)) (request as Marked<R>)[OPEN] = open;
    else this.#unmarked.set(request, open);
    return open;
  }

  /** Its handler has been made. */
  setHandler(
    request: R,
    handler: BaseRequestHandler,
  ): OpenRequest<R> | undefined {
    const open = this.#find(request);
    if (open === undefined) return;
    open.handler = handler;
    if (this.#draining) handler[drain]?.();
    return open;
  }

  /** `shutdownRequest()` is about to be called. */
  setShut(request: R): void {
    const open = this.#find(request);
    if (open !== undefined) open.shut = true;
  }

  delete(open: OpenRequest<R>): void {
    const last = this.#open.pop()!;
    if (last !== open) {
      this.#open[open.index] = last;
      last.index = open.index;
    }
    if (this.#unmarked.size > 0) this.#unmarked.delete(open.request);
    if (this.#open.length === 0) this.#emptied?.();
  }

  /** Tells all handlers, and those to come, to begin nothing new. */
  drain(): void {
    this.#draining = true;
    for (const { handler } of this.#open) handler?.[drain]?.();
  }

  /** Those that are open now. */
  list(): OpenRequest<R>[] {
    return [...this.#open];
  }

  /** Cuts off those that are open; returns them. */
  abort(reason: unknown): OpenRequest<R>[] {
    const aborted = this.list();
    for (const open of aborted) cutOff(open, reason);
    return aborted;
  }

  /** Settles when none is open, or after `timeout` ms. */
  ended(timeout: number): Promise<void> {
    if (this.#open.length === 0 || timeout <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = timeout === Infinity
        ? undefined
        : setTimeout(() => this.#emptied?.(), timeout);
      this.#emptied = () => {
        this.#emptied = null;
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #find(request: R): OpenRequest<R> | undefined {
    const open = (request as Partial<Marked<R>> | null)?.[OPEN];
    return open ?? this.#unmarked.get(request);
  }
}

type Marked<R> = { [OPEN]: OpenRequest<R> };

/** Tells a handler to give up, and closes its connection. */
export function cutOff(open: OpenRequest, reason: unknown): void {
  open.aborted = true;
  open.reason = reason;
  open.handler?.[abort]?.(reason);
  open.cancel?.();
  closeAnyhow(open.request);
}
