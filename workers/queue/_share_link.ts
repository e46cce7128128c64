/**
 * The child's side of locks and similar objects that stay in its parent; see
 * `_shares.ts`. Every child loads it, so it is small.
 *
 * @module
 */
import {
  encodeArgs,
  isTooLarge,
  MAX_BYTES,
  MAX_CALLS,
  type Sender,
} from "../line/socket_line.ts";
import type { RemoteError } from "../base/errors.ts";
import {
  type ErrorRecord,
  fromErrorRecord,
  ProtocolError,
} from "../line/dialect.ts";

/** A call that has no answer yet. */
interface Waiting extends PromiseWithResolvers<unknown> {
  /** The size of the arguments. */
  bytes: number;
}

let sendToParent: ((message: unknown[]) => void) | null = null;
let self: Sender = "trusted";
let lastCall = 0;
let pendingBytes = 0;
const waiting = new Map<number, Waiting>();

/**
 * Opens the link to the parent.
 *
 * @param send Sends the parent a message.
 * @param sender What this process is to its parent.
 */
export function openShareLink(
  send: (message: unknown[]) => void,
  sender: Sender,
): void {
  sendToParent = send;
  self = sender;
}

/**
 * Takes an answer of the parent.
 *
 * @param message The answer.
 * @throws {ProtocolError} If it answers no call.
 */
export function receiveAnswer(message: unknown): void {
  const [number, value, error] = message as [number, unknown, ErrorRecord?];
  // Nobody waits for it, so it is an uncaught error
  if (number === 0) return reportError(fromErrorRecord(error!));
  const call = waiting.get(number);
  if (call === undefined) throw new ProtocolError("An answer to no call came");
  waiting.delete(number);
  pendingBytes -= call.bytes;
  sendToParent!(["ack", number]);
  if (error === undefined) call.resolve(value);
  else call.reject(fromErrorRecord(error));
}

/**
 * Calls a method of an object in the parent and waits for its result.
 *
 * @param object The object's name.
 * @param method The method's name.
 * @param args Its arguments, without options.
 * @param options The options of the wait.
 * @returns The method's result.
 * @throws {RangeError} If too many calls, or too large ones, are pending.
 */
export async function callParent(
  object: string,
  method: string,
  args: unknown[],
  options: { signal?: AbortSignal | undefined } = {},
): Promise<unknown> {
  const { signal, ...rest } = options;
  signal?.throwIfAborted();
  if (waiting.size >= MAX_CALLS) {
    throw new RangeError(
      `Cannot ${method} from a process: ${MAX_CALLS} calls of what its parent keeps are under way; await some of them first`,
    );
  }
  const bytes = encodeArgs(args, self);
  if (isTooLarge(bytes.length, waiting.size, pendingBytes)) {
    throw new RangeError(
      `Cannot ${method} from a process: calls with ${pendingBytes} bytes are under way, and at most ${MAX_BYTES} may be; await some of them first`,
    );
  }
  const number = ++lastCall;
  // First: a call that can't be sent has no answer
  sendToParent!(["call", number, object, method, bytes, rest]);
  pendingBytes += bytes.length;
  const call = { bytes: bytes.length, ...Promise.withResolvers<unknown>() };
  waiting.set(number, call);
  const cancel = (): void => sendToParent!(["cancel", number]);
  signal?.addEventListener("abort", cancel);
  try {
    return await call.promise;
  } catch (error) {
    const { name } = error as RemoteError;
    throw signal?.aborted && name === "AbortError" ? signal.reason : error;
  } finally {
    signal?.removeEventListener("abort", cancel);
  }
}

/**
 * Calls a method of an object in the parent without waiting. An
 * error there is an uncaught error here.
 *
 * @param object The object's name.
 * @param method The method's name.
 * @param args Its arguments.
 */
export function tellParent(
  object: string,
  method: string,
  args: unknown[],
): void {
  const bytes = encodeArgs(args, self);
  sendToParent!(["call", 0, object, method, bytes, null]);
}
