/**
 * The child's side of locks and similar objects that stay in its parent; see
 * `_shares.ts`. Every child loads it, so it is small.
 *
 * @module
 */
import {
  isTooLarge,
  MAX_BYTES,
  MAX_CALLS,
  PendingCalls,
} from "../line/pending.ts";
import {
  type Channel,
  encodeArgs,
  limitsOfCalls,
  type MessageLimits,
  type Sender,
} from "../line/socket_line.ts";
import { checkpoint } from "../locks/_checkpoint.ts";
import type { RemoteError } from "../base/errors.ts";
import { type ErrorRecord, fromErrorRecord } from "../line/dialect.ts";

/** A `Channel`, of which this sends one kind of frame. */
export interface ParentLine extends Pick<Channel, "position" | "confirm"> {
  /** Sends a message; if `now`, the system has it when this returns. */
  send(message: unknown[], now?: boolean): void;
}

/** A call that waits for its answer. */
interface Waiting {
  /** The size of the arguments. */
  bytes: number;
  /** The line's position after the call. */
  position: number;
  /** Takes the answer; acknowledging it is up to its taker. */
  take(value: unknown, error: ErrorRecord | undefined, ahead: unknown): void;
}

let line: ParentLine | null = null;
let self: Sender = "trusted";
let recall: ((call: number) => void) | null = null;
let lastAccount = 0;
let pendingBytes = 0;
const waiting = new PendingCalls<Waiting>();

/**
 * Opens the link to the parent.
 *
 * @param to The line.
 * @param sender What this process is to its parent.
 */
export function openShareLink(to: ParentLine, sender: Sender): void {
  line = to;
  self = sender;
}

/** The limits of what this process may pass on. */
export function ownLimits(): MessageLimits {
  return limitsOfCalls(self);
}

/**
 * Takes an answer of the parent.
 *
 * @param message The answer.
 * @throws {ProtocolError} If it answers no call.
 */
export function receiveAnswer(message: unknown): void {
  const [number, value, error, ahead] = message as [
    unknown,
    unknown,
    ErrorRecord?,
    unknown?,
  ];
  if (number === "heard") return line!.confirm(value as number);
  if (number === "recall") return recall!(value as number);
  // Nobody waits for it, so it is an uncaught error
  if (number === null) return reportError(fromErrorRecord(error!));
  const call = waiting.take(number as number);
  pendingBytes -= call.bytes;
  line!.confirm(call.position);
  call.take(value, error, ahead);
}

/** Sets what gives back the items that came ahead beside an answer. */
export function onRecall(giveBack: (call: number) => void): void {
  recall = giveBack;
}

/** Numbers an account of a process that this one has started; its own is 0. */
export function openAccount(): number {
  return ++lastAccount;
}

/** Sends the parent a message about a call or an account. */
export function tell(message: unknown[]): void {
  post(message, true);
}

function post(message: unknown[], now?: boolean): void {
  tellClaims();
  line!.send(message, now);
}

let claims = 0;
let claimedCall = 0;

/**
 * An item that came ahead beside the answer to a call is used from now on. The
 * parent learns that before anything that this process says afterwards.
 */
export function claim(call: number): void {
  if (call !== claimedCall) tellClaims();
  claimedCall = call;
  if (claims++ === 0) checkpoint().then(tellClaims);
}

/** Tells the parent about items that are used. */
export function tellClaims(): void {
  if (claims === 0) return;
  const message = ["took", claimedCall, claims];
  claims = 0;
  line!.send(message);
}

/** A call as it crosses. */
export interface SharedCall {
  /** The object's name. */
  object: unknown;
  /** The method's name. */
  method: string;
  /** The encoded arguments. */
  bytes: Uint8Array;
  /** The options of the wait. */
  options: unknown;
  /** How many more items a `get` takes. */
  most?: number;
}

/**
 * Sends the parent a call.
 *
 * @param call The call.
 * @param take Takes the answer.
 * @param account For whom it is.
 * @returns Its number.
 * @throws {RangeError} If too many calls, or too large ones, are pending.
 */
export function startCall(
  { object, method, bytes, options, most = 0 }: SharedCall,
  take: Waiting["take"],
  account = 0,
): number {
  if (waiting.size >= MAX_CALLS) {
    throw new RangeError(
      `Cannot ${method} from a process: ${MAX_CALLS} calls of what its parent keeps are under way; await some of them first`,
    );
  }
  if (isTooLarge(bytes.length, waiting.size, pendingBytes)) {
    throw new RangeError(
      `Cannot ${method} from a process: calls with ${pendingBytes} bytes are under way, and at most ${MAX_BYTES} may be; await some of them first`,
    );
  }
  const call = { bytes: bytes.length, position: 0, take };
  const number = waiting.add(call);
  try {
    post(["call", number, object, method, bytes, options, account, most]);
  } catch (error) {
    // A call that can't be sent has no answer
    waiting.take(number);
    throw error;
  }
  pendingBytes += bytes.length;
  call.position = line!.position;
  return number;
}

/** Takes the items that come ahead beside the answer to a call. */
export interface AheadTaker {
  /** Returns how many it takes with the call that is made now. */
  most(): number;
  /** Takes them. */
  fill(call: number, items: Uint8Array<ArrayBuffer>): void;
}

/**
 * Calls a method of an object in the parent and waits for its result.
 *
 * @param object The object's name.
 * @param method The method's name.
 * @param args Its arguments, without options.
 * @param options The options of the wait.
 * @param taker Takes items ahead.
 * @returns The method's result.
 * @throws {RangeError} If too many calls, or too large ones, are pending.
 */
export async function callParent(
  object: string,
  method: string,
  args: unknown[],
  { signal, ...options }: { signal?: AbortSignal | undefined } = {},
  taker?: AheadTaker,
): Promise<unknown> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const bytes = encodeArgs(args, self);
  const call = { object, method, bytes, options, most: taker?.most() ?? 0 };
  const number = startCall(call, (value, error, ahead) => {
    post(["took", number, 1]);
    if (ahead !== undefined) {
      taker!.fill(number, ahead as Uint8Array<ArrayBuffer>);
    }
    if (error === undefined) resolve(value);
    else reject(fromErrorRecord(error));
  });
  if (signal === undefined) return await promise;
  const cancel = (): void => tell(["cancel", number]);
  signal.addEventListener("abort", cancel);
  try {
    return await promise;
  } catch (error) {
    const { name } = error as RemoteError;
    throw signal.aborted && name === "AbortError" ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

/**
 * Calls a method of an object in the parent without waiting. The call is on
 * its way when this returns, whatever becomes of this process. An error there
 * is an uncaught error here.
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
  tell(["tell", 0, object, method, encodeArgs(args, self), 0]);
}
