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
import { ProtocolError } from "./protocol_error.ts";

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
  #fault: (thrown: unknown) => void;
  #calls: Map<number, Call> = new Map();
  #lastId = 0;
  #failure: Error | null = null;

  /**
   * Constructs one end.
   *
   * @param post Sends a message to the other end.
   * @param methods What the other end may call.
   * @param fault Called with what a method threw that was only told.
   */
  constructor(
    post: (message: unknown) => void,
    methods: Methods,
    fault: (thrown: unknown) => void = reportError,
  ) {
    this.#post = post;
    this.#methods = methods;
    this.#fault = fault;
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

  /**
   * Takes a message from the other end.
   *
   * @throws {ProtocolError} If it makes no sense here and now.
   */
  receive(message: unknown): void {
    if (!Array.isArray(message)) throw new ProtocolError("It is no call");
    const [kind, ...rest] = message as Message;
    if (kind === "tell") {
      const [method, argument] = rest as [string, unknown];
      void this.#told(this.#method(method), argument);
    } else if (kind === "call") {
      const [id, method, argument] = rest as [number, string, unknown];
      void this.#answer(id, this.#method(method), argument);
    } else if (this.#failure === null) {
      const [id, value] = rest as [number, unknown];
      this.#settle(kind, id, value);
    }
  }

  /** The other end is gone: what was asked of it will not be answered. */
  fail(error: Error): void {
    this.#failure = error;
    for (const { reject } of this.#calls.values()) reject(error);
    this.#calls.clear();
  }

  #method(name: string): Methods[string] {
    if (Object.hasOwn(this.#methods, name)) return this.#methods[name]!;
    throw new ProtocolError(`There is no method "${name}"`);
  }

  #settle(kind: "result" | "error", id: number, value: unknown): void {
    const call = this.#calls.get(id);
    if (call === undefined || (kind !== "result" && kind !== "error")) {
      throw new ProtocolError("It answers nothing that was asked");
    }
    this.#calls.delete(id);
    if (kind === "result") return call.resolve(value);
    try {
      call.reject(fromErrorRecord(value as ErrorRecord));
    } catch (error) {
      call.reject(error as Error);
      throw error;
    }
  }

  /** As `#answer()`, for what nobody waits for. */
  async #told(method: Methods[string], argument: unknown): Promise<void> {
    try {
      await method(argument);
    } catch (error) {
      this.#fault(error);
    }
  }

  async #answer(
    id: number,
    method: Methods[string],
    argument: unknown,
  ): Promise<void> {
    try {
      this.#post(["result", id, await method(argument)]);
    } catch (error) {
      try {
        this.#post(["error", id, toErrorRecord(error)]);
      } catch (error) {
        this.#fault(error);
      }
    }
  }
}
