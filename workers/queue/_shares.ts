/**
 * The parent's side of locks and similar objects that a child process uses:
 * they stay in the parent, which calls them for the child.
 *
 * The child sends `["call", n, object, method, args, options]`, where `args` are
 * encoded, so that their size is known, and an `n` of 0 asks for no answer;
 * `["cancel", n]`, which ends the wait of a call; and `["ack", n]` for each
 * answer. The parent answers each call, also a cancelled one, with `[n, value]`
 * or `[n, undefined, error]`.
 *
 * @module
 */
import {
  isTooLarge,
  limitsOfCalls,
  MAX_CALLS,
  type MessageLimits,
  type Sender,
} from "../line/socket_line.ts";
import { findExported, typeOf } from "../codec/share.ts";
import { decode } from "../codec/decode.ts";
import { IN_BACKGROUND } from "../locks/_sleep.ts";
import {
  type ErrorRecord,
  ProtocolError,
  tellRecord,
  toErrorRecord,
} from "../line/dialect.ts";

/** An answer to a call. */
export type ShareAnswer = [call: number, value: unknown, error?: ErrorRecord];

/** The calls with a value before their options. */
const WITH_VALUE = ["put", "release"];

/** The calls that have no answer. */
const TELLS = ["release", "set", "clear", "taskDone", "close"];

type Callable = Record<string, (...args: unknown[]) => unknown>;

interface Call {
  abort: AbortController;
  /** The size of the arguments. */
  bytes: number;
  /** Undoes the effect of the call, if it had one. */
  undo: (() => void) | null;
}

/** Calls locks and similar objects for one child process. */
export class ShareHost {
  #send: (answer: ShareAnswer) => void;
  #limits: MessageLimits;
  #calls = new Map<number, Call>();
  #bytes = 0;
  #held = new Map<Callable, number>();
  #ended = false;

  /**
   * Constructs a host.
   *
   * @param send Sends the child an answer.
   * @param child What the child is.
   */
  constructor(
    send: (answer: ShareAnswer) => void,
    child: Sender = "trusted",
  ) {
    this.#send = send;
    this.#limits = limitsOfCalls(child);
  }

  /**
   * Takes a message of the child.
   *
   * @param message The message.
   * @throws {ProtocolError} If it is malformed.
   */
  receive(message: unknown): void {
    const [kind, number] = Array.isArray(message) ? message : [];
    if (Number.isSafeInteger(number)) {
      if (kind === "call") return this.#call(number, message as unknown[]);
      if (kind === "cancel") return this.#calls.get(number)?.abort.abort();
      if (kind === "ack") return this.#acknowledge(number);
    }
    throw new ProtocolError("A call of a shared object makes no sense");
  }

  /**
   * The child has ended: puts back items that it never got and, unless it
   * returned, releases its locks. A child that returned may count on others to
   * release them, as a producer does with permits that consumers release.
   *
   * @param returned Whether it returned, and did not die.
   */
  end(returned: boolean): void {
    this.#ended = true;
    for (const { abort, undo } of this.#calls.values()) {
      abort.abort();
      undo?.();
    }
    this.#calls.clear();
    for (const [object, count] of this.#held) {
      const left = this.#repay(object, count);
      if (!returned) release(object, left);
    }
  }

  #acknowledge(number: number): void {
    this.#bytes -= this.#calls.get(number)?.bytes ?? 0;
    this.#calls.delete(number);
  }

  #call(number: number, message: unknown[]): void {
    const [, , id, method, bytes, options] = message;
    const isRead = bytes instanceof Uint8Array &&
      bytes.length <= this.#limits.bytes;
    const args = isRead
      ? decode(bytes as Uint8Array<ArrayBuffer>, 0, bytes.length, this.#limits)
      : null;
    if (!Array.isArray(args) || typeof method !== "string") {
      throw new ProtocolError("A call of a shared object has no arguments");
    }
    const object = findExported(id) as Callable | undefined;
    const known = object === undefined ||
      typeOf(object)?.calls?.includes(method);
    // What waits has an answer, so that it counts towards the limits
    if (!known || (number === 0) !== TELLS.includes(method)) {
      throw new ProtocolError(`A shared object has no call "${method}"`);
    }
    const { length } = bytes as Uint8Array;
    const tooMany = this.#calls.size >= MAX_CALLS ||
      isTooLarge(length, this.#calls.size, this.#bytes);
    if (this.#calls.has(number) || tooMany) {
      throw new ProtocolError(
        "A call's number is taken, or there are too many",
      );
    }
    const abort = new AbortController();
    const call: Call = { abort, bytes: length, undo: null };
    if (number !== 0) {
      this.#calls.set(number, call);
      this.#bytes += length;
    }
    const { signal } = abort;
    // Nothing in the place of the signal, nor an option that is not a child's
    const { timeout, blocking } = Object(options);
    const values = WITH_VALUE.includes(method) ? [args[0]] : [];
    if (options !== null) values.push({ timeout, blocking, signal });
    void this.#run(number, call, object, method, values);
  }

  async #run(
    number: number,
    call: Call,
    object: Callable | undefined,
    method: string,
    args: unknown[],
  ): Promise<void> {
    try {
      if (object === undefined) {
        throw new ReferenceError(
          `Cannot ${method}: the program that shared the object has dropped it; keep a reference to it there`,
        );
      }
      const value = method === "release"
        ? this.#release(object, args)
        : await object[method]!(...args);
      this.#note(call, object, method, value);
      if (this.#ended) call.undo?.();
      else if (number !== 0) this.#send([number, value]);
    } catch (error) {
      if (this.#ended) return;
      // Number 0 reports an error that no call of the child waits for
      tellRecord(
        (record) => this.#send([number, undefined, record]),
        toErrorRecord(error),
      );
    }
  }

  /** Records what the child has now, and how to undo it. */
  #note(call: Call, object: Callable, method: string, value: unknown): void {
    if (method === "acquire" && value === true) {
      this.#lend(object);
      call.undo = () => release(object, this.#repay(object, 1));
    } else if (method === "get") {
      call.undo = () => void giveItemBack(object, value);
    }
  }

  /** Releases for the child. A release that fails changes nothing. */
  #release(object: Callable, args: unknown[]): void {
    // Not after it: the object would count the same permits as returned twice
    let repaid = this.#repay(object, permitsOf(args));
    try {
      object.release!(...args);
    } catch (error) {
      for (; repaid > 0; repaid--) this.#lend(object);
      throw error;
    }
  }

  /** Records that the child has one more. */
  #lend(object: Callable): void {
    typeOf(object)?.loans?.(object)?.lend();
    this.#held.set(object, (this.#held.get(object) ?? 0) + 1);
  }

  /** Records that the child has less; returns how much of it it still had. */
  #repay(object: Callable, count: number): number {
    const held = this.#held.get(object) ?? 0;
    const repaid = Math.min(held, count);
    if (held > repaid) this.#held.set(object, held - repaid);
    else this.#held.delete(object);
    return typeOf(object)?.loans?.(object)?.repay(repaid) ?? 0;
  }
}

/** The number of permits to release; none if it makes no sense. */
function permitsOf([count = 1]: unknown[]): number {
  return Number.isSafeInteger(count) ? Math.max(count as number, 0) : 0;
}

function release(object: Callable, count: number): void {
  try {
    for (let left = count; left > 0; left--) object.release!();
  } catch {
    // Another thread or process released it for the child
  }
}

/**
 * Puts an item that a dead child never got at the end of the queue, which may
 * be closed. A program that ends while the queue is full does not wait for it.
 */
async function giveItemBack(queue: Callable, item: unknown): Promise<void> {
  await queue.put!(item, { [IN_BACKGROUND]: true });
}
