/**
 * The requests that a server has open.
 *
 * @module
 */

import { abort, drain } from "../handlers/_internal.ts";
import type { BaseRequestHandler } from "../handlers/base_request_handler.ts";

/** A request, from its acceptance to its end. */
export interface OpenRequest {
  readonly clientAddress: Deno.Addr;
  /** Whether another part of the server has accepted it, and counts it. */
  readonly relayed: boolean;
  handler: BaseRequestHandler | null;
  aborted: boolean;
  /** Whether `shutdownRequest()` was called. */
  shut: boolean;
}

/** Knows the open requests, tells their handlers, waits for their end. */
export class OpenRequests<R> {
  #open: Map<R, OpenRequest> = new Map();
  #draining = false;
  #emptied: (() => void) | null = null;

  get size(): number {
    return this.#open.size;
  }

  add(request: R, clientAddress: Deno.Addr, relayed: boolean): OpenRequest {
    const open = {
      clientAddress,
      relayed,
      handler: null,
      aborted: false,
      shut: false,
    };
    this.#open.set(request, open);
    return open;
  }

  /** Its handler has been made. */
  setHandler(request: R, handler: BaseRequestHandler): void {
    const open = this.#open.get(request);
    if (open === undefined) return;
    open.handler = handler;
    if (this.#draining) handler[drain]?.();
  }

  /** `shutdownRequest()` is about to be called. */
  setShut(request: R): void {
    const open = this.#open.get(request);
    if (open !== undefined) open.shut = true;
  }

  delete(request: R): void {
    this.#open.delete(request);
    if (this.#open.size === 0) this.#emptied?.();
  }

  /** Tells all handlers, and those to come, to begin nothing new. */
  drain(): void {
    this.#draining = true;
    for (const { handler } of this.#open.values()) handler?.[drain]?.();
  }

  /** Aborts all that are open; returns them. */
  abort(reason: unknown): [R, OpenRequest][] {
    const aborted = [...this.#open];
    for (const [, open] of aborted) {
      open.aborted = true;
      open.handler?.[abort]?.(reason);
    }
    return aborted;
  }

  /** Settles when none is open, or after `timeout` ms. */
  ended(timeout: number): Promise<void> {
    if (this.#open.size === 0 || timeout <= 0) return Promise.resolve();
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
}
