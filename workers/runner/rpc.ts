/**
 * Calls between a runner and its owner, over their messages.
 *
 * @module
 */

import {
  type ErrorRecord,
  fromErrorRecord,
  toErrorRecord,
} from "./error_record.ts";

type Message =
  | ["call", id: number, method: string, argument: unknown]
  | ["tell", method: string, argument: unknown]
  | ["result", id: number, value: unknown]
  | ["error", id: number, record: ErrorRecord];

/** What the other end may call. */
export type Methods = Record<string, (argument: unknown) => unknown>;

interface Call {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

/** One end of a conversation in which both may ask. */
export class Rpc {
  #post: (message: unknown) => void;
  #methods: Methods;
  #calls: Map<number, Call> = new Map();
  #lastId = 0;
  #failure: Error | null = null;

  constructor(post: (message: unknown) => void, methods: Methods) {
    this.#post = post;
    this.#methods = methods;
  }

  /** Calls a method of the other end and waits for what it returns. */
  call(method: string, argument?: unknown): Promise<unknown> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject });
      this.#post(["call", id, method, argument]);
    });
  }

  /** Calls a method of the other end; nobody waits. */
  tell(method: string, argument?: unknown): void {
    this.#post(["tell", method, argument]);
  }

  /** Takes a message from the other end. */
  receive(message: unknown): void {
    const [kind, ...rest] = message as Message;
    if (kind === "tell") {
      this.#methods[rest[0] as string]!(rest[1]);
    } else if (kind === "call") {
      const [id, method, argument] = rest as [number, string, unknown];
      void this.#answer(id, method, argument);
    } else {
      const [id, value] = rest as [number, unknown];
      const call = this.#calls.get(id);
      this.#calls.delete(id);
      if (kind === "result") call?.resolve(value);
      else call?.reject(fromErrorRecord(value as ErrorRecord));
    }
  }

  /** The other end is gone: what was asked of it will not be answered. */
  fail(error: Error): void {
    this.#failure = error;
    for (const { reject } of this.#calls.values()) reject(error);
    this.#calls.clear();
  }

  async #answer(id: number, method: string, argument: unknown): Promise<void> {
    try {
      const value = await this.#methods[method]!(argument);
      this.#post(["result", id, value]);
    } catch (error) {
      this.#post(["error", id, toErrorRecord(error)]);
    }
  }
}
