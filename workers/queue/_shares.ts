/**
 * The parent's side of locks and similar objects that a child process uses:
 * they stay in the parent, which calls them for the child.
 *
 * The child sends
 * - `["call", n, object, method, args, options, account, ahead]`, where `args` are
 *   encoded, so that their size is known. The parent answers each call, also a
 *   cancelled one, with `[n, value]` or `[n, undefined, error]`. A `get` may say
 *   how many items it takes ahead. Those come beside its answer, one after
 *   another with their lengths. A `get` that comes before they are used is
 *   answered without an item: the first of them is next;
 * - `["took", n, count]` for each answer, and for items that came ahead when it
 *   uses them: until then what it carries belongs to the parent;
 * - `["cancel", n]`, which ends the wait of a call, and `["back", n]` when the
 *   parent says `["recall", n]`, because others wait: what was not taken goes
 *   back to the front of the queue;
 * - `["tell", 0, object, method, args, account]`, a call without an answer;
 *   the parent says `["heard", bytes]` now and then, and `[null, undefined,
 *   error]` if it failed;
 * - `["open", account, pid]` and `["end", account, returned]`.
 *
 * Account 0 is the child. A child that started processes of its own passes
 * their calls on under an account for each: what they hold is known here, and
 * given back here.
 *
 * @module
 */
import { isTooLarge, MAX_CALLS } from "../line/pending.ts";
import {
  limitsOfCalls,
  type MessageLimits,
  type Sender,
} from "../line/socket_line.ts";
import { findExported, isStandIn, recordsIn, typeOf } from "../codec/share.ts";
import { decode, encode } from "../codec/codec.ts";
import type { Permits } from "../locks/_permits.ts";
import { deadlineOf, until } from "../locks/_until.ts";
import type { WaitOptions } from "../locks/wait_options.ts";
import type { ItemLoan } from "./_item_loans.ts";
import type { QueueCore } from "./_queue_core.ts";
import { ShareAccount } from "./_share_account.ts";
import { ownLimits, startCall, tell } from "./_share_link.ts";
import {
  type ErrorRecord,
  ProtocolError,
  tellRecord,
  toErrorRecord,
} from "../line/dialect.ts";

/** A child gets a message each time this many of its bytes have been read. */
const HEARD_AFTER = 1_024;
/** More processes below one child are refused. */
const MAX_ACCOUNTS = 256;

type Ends = Record<"incoming" | "outgoing", { id: string }>;
type Callable = Record<string, (...args: unknown[]) => unknown>;
type Bytes = Uint8Array<ArrayBuffer>;

interface Call {
  account: ShareAccount;
  abort: AbortController;
  isAnswered: boolean;
  /** The size of the arguments. */
  bytes: number;
  /** Its number in this process's parent, if that keeps the object. */
  above: number | null;
  /** The permits of which its answer carries one. */
  permits: Permits | null;
  /** The items of a `get`, and how many it takes ahead. */
  loan: ItemLoan | null;
  most: number;
}

/** Calls locks and similar objects for one child process. */
export class ShareHost {
  #send: (message: unknown[]) => void;
  #received: () => number;
  #pid: number;
  #limits: MessageLimits;
  #calls = new Map<number, Call>();
  #accounts = new Map<number, ShareAccount>();
  #bytes = 0;
  #heard = 0;
  #ended = false;

  /**
   * Constructs a host.
   *
   * @param send Sends the child a message.
   * @param received How many bytes have come from it.
   * @param child What the child is.
   * @param pid Its process id.
   */
  constructor(
    send: (message: unknown[]) => void,
    received: () => number = () => 0,
    child: Sender = "trusted",
    pid = 0,
  ) {
    this.#send = send;
    this.#received = received;
    this.#pid = pid;
    const [limits, own] = [limitsOfCalls(child), ownLimits()];
    // If this process passes a call on to its parent, both must let it through
    this.#limits = own.bytes < limits.bytes ? own : limits;
  }

  /**
   * The child gets this when it starts. From now on it has the pipes in it,
   * also if it dies before it can say so.
   *
   * @param packed What it gets.
   */
  give(packed: object): void {
    for (const record of recordsIn(packed, "PipeConnection")) {
      const { incoming, outgoing } = record as Ends;
      this.receive(["tell", 0, outgoing.id, "hold", encode([true])]);
      this.receive(["tell", 0, incoming.id, "hold", encode([false])]);
    }
  }

  /**
   * Takes a message of the child.
   *
   * @param message The message.
   * @throws {ProtocolError} If it is malformed.
   */
  receive(message: unknown): void {
    // Never the whole of it: its length may be anything
    const [kind, number, third] = Array.isArray(message) ? message : [];
    const received = this.#received();
    if (received - this.#heard > HEARD_AFTER) {
      this.#heard = received;
      this.#send(["heard", received]);
    }
    if (Number.isSafeInteger(number)) {
      if (kind === "call") return this.#call(number, message as unknown[]);
      if (kind === "tell") return this.#tell(message as unknown[]);
      if (kind === "cancel") return this.#cancel(number);
      if (kind === "took") return this.#took(number, third);
      if (kind === "back") return this.#back(number);
      if (kind === "open" && number > 0) {
        return this.#accountOf(number).identify(third, this.#pid);
      }
      if (kind === "end" && number > 0) {
        return this.#endAccount(number, third === true);
      }
    }
    throw new ProtocolError("A call of a shared object makes no sense");
  }

  /**
   * The child has ended: puts back items that it never got, releases its locks
   * and, unless it returned, its permits. A child that returned may count on
   * others to release these, as a producer does with permits that consumers
   * release.
   *
   * @param returned Whether it returned, and did not die.
   */
  end(returned: boolean): void {
    this.#ended = true;
    for (const [number, account] of this.#accounts) {
      account.kill();
      this.#endAccount(number, returned && number === 0);
    }
  }

  #endAccount(number: number, returned: boolean): void {
    const account = this.#accounts.get(number);
    if (account === undefined) return;
    this.#accounts.delete(number);
    const calls = [...this.#calls].filter(([, call]) =>
      call.account === account
    );
    // The last first: each item goes to the front
    account.loans.takeBackAhead();
    for (const [number, call] of calls.reverse()) {
      this.#cancel(number);
      this.#forget(number, call);
      this.#takeBack(call);
    }
    account.end(returned);
  }

  #cancel(number: number): void {
    const call = this.#calls.get(number);
    if (call === undefined) return;
    call.abort.abort();
    if (call.above !== null) tell(["cancel", call.above]);
  }

  /** The child has got an answer, or uses items that came ahead. */
  #took(number: number, count: unknown): void {
    const call = this.#calls.get(number);
    if (call === undefined) return;
    // Otherwise its wait would go on and count towards no limit
    if (!call.isAnswered) throw new ProtocolError("A call has no answer yet");
    if (call.above !== null) tell(["took", call.above, 1]);
    call.permits = null;
    const { account, loan } = call;
    if (loan !== null) account.loans.acknowledge(loan, Number(count));
    if (!loan?.items.length) this.#forget(number, call);
  }

  /** The child has given back what it has not taken. */
  #back(number: number): void {
    const call = this.#calls.get(number);
    if (!call?.loan?.items.length) return;
    this.#forget(number, call);
    this.#takeBack(call);
  }

  #forget(number: number, call: Call): void {
    this.#calls.delete(number);
    this.#bytes -= call.bytes;
  }

  /** Takes back what an answer carries that its account never got. */
  #takeBack(call: Call): void {
    call.permits?.endLoans(call.account.holder, true, 1);
    call.permits = null;
    if (call.loan !== null) call.account.loans.takeBack(call.loan);
  }

  #accountOf(number: unknown): ShareAccount {
    let account = this.#accounts.get(number as number);
    if (account === undefined) {
      if (
        !Number.isSafeInteger(number) || this.#accounts.size >= MAX_ACCOUNTS
      ) {
        throw new ProtocolError("A call of a shared object has no account");
      }
      account = new ShareAccount(
        number === 0 ? this.#pid : 0,
        (call) => this.#send(["recall", call]),
      );
      this.#accounts.set(number as number, account);
    }
    return account;
  }

  #tell([, , id, method, bytes, key = 0]: unknown[]): void {
    const args = argumentsOf(bytes, this.#limits);
    const object = this.#find(id, "tells", method);
    const account = this.#accountOf(key);
    try {
      if (object === undefined) throw goneError(method);
      if (isStandIn(object)) {
        return tell(["tell", 0, id, method, bytes, account.above]);
      }
      const release = typeOf(object)?.release;
      if (method === "hold") {
        account.hold(innerOf(object) as QueueCore, args[0] === true);
      } else if (method === "release") {
        release!(object, account.holder, args[0]);
      } else object[method as string]!();
    } catch (error) {
      this.#fail(null, error);
    }
  }

  #call(number: number, message: unknown[]): void {
    const [, , id, method, bytes, options, key = 0, most] = message;
    const args = argumentsOf(bytes, this.#limits);
    const object = this.#find(id, "asks", method);
    const { length } = bytes as Bytes;
    const tooMany = this.#calls.size >= MAX_CALLS ||
      isTooLarge(length, this.#calls.size, this.#bytes);
    if (number < 0 || this.#calls.has(number) || tooMany) {
      throw new ProtocolError(
        "A call's number is taken, or there are too many",
      );
    }
    const account = this.#accountOf(key);
    // Items that a process below the child asked for would not be found there
    const mayTake = key === 0 && typeof most === "number";
    const abort = new AbortController();
    const call: Call = {
      account,
      abort,
      isAnswered: false,
      bytes: length,
      above: null,
      permits: null,
      loan: null,
      most: mayTake ? most : 0,
    };
    this.#calls.set(number, call);
    this.#bytes += length;
    if (object !== undefined && isStandIn(object)) {
      return this.#passOn(number, call, message);
    }
    // Nothing in the place of the signal, nor an option that is not a child's
    const { timeout, blocking } = Object(options);
    const waits = method === "wait" || method === "join";
    const values = method === "put" ? [args[0]] : [];
    const { signal } = abort;
    values.push(waits ? { timeout, signal } : { timeout, blocking, signal });
    void this.#run(number, call, object, method as string, values);
  }

  /** A call that waits must have an answer, so that limits count it. */
  #find(
    id: unknown,
    how: "asks" | "tells",
    method: unknown,
  ): Callable | undefined {
    const object = findExported(id) as Callable | undefined;
    if (object === undefined) return undefined;
    if (typeOf(object)?.[how]?.includes(method as string)) return object;
    throw new ProtocolError(`A shared object has no call "${method}"`);
  }

  /** Passes a call on to this process's parent, which keeps the object. */
  #passOn(number: number, call: Call, message: unknown[]): void {
    const [, , object, method, bytes, options] = message;
    const { above } = call.account;
    try {
      call.above = startCall(
        { object, method: method as string, bytes: bytes as Bytes, options },
        (value, error) => {
          if (this.#calls.get(number) === call) {
            this.#reply(call, [number, value, error]);
          }
        },
        above,
      );
    } catch (error) {
      this.#fail(number, error);
    }
  }

  async #run(
    number: number,
    call: Call,
    object: Callable | undefined,
    method: string,
    args: unknown[],
  ): Promise<void> {
    const options = args.at(-1) as WaitOptions;
    try {
      if (object === undefined) throw goneError(method);
      const value = method === "acquire"
        ? await this.#acquire(call, object, options)
        : method === "get"
        ? await this.#get(number, call, object, options)
        : await object[method]!(...args);
      // Its account has ended meanwhile
      if (this.#calls.get(number) !== call) return this.#takeBack(call);
      const { account, loan, most } = call;
      const ahead = loan ? account.loans.takeAhead(loan, most) : null;
      this.#reply(
        call,
        ahead ? [number, value, undefined, ahead] : [number, value],
      );
    } catch (error) {
      if (this.#calls.get(number) === call) this.#fail(number, error);
    }
  }

  #reply(call: Call, answer: unknown[]): void {
    call.isAnswered = true;
    this.#send(answer);
  }

  async #acquire(
    call: Call,
    object: Callable,
    options: WaitOptions,
  ): Promise<boolean> {
    const permits = innerOf(object) as Permits;
    const { account } = call;
    account.mayHold(permits, typeOf(object)!.tag === "Lock");
    const deadline = deadlineOf("acquire()", options);
    // At once: its account may end before this goes on
    const take = () => {
      if (!permits.take(account.holder)) return false;
      call.permits = permits;
      return true;
    };
    return await until(permits, take, deadline);
  }

  /** Answers with the encoded item. */
  #get(
    number: number,
    call: Call,
    object: Callable,
    options: WaitOptions,
  ): Promise<Bytes | undefined> {
    const core = innerOf(object) as QueueCore;
    const loan = call.loan = { call: number, core, items: [], ahead: 0 };
    return call.account.loans.take(loan, deadlineOf("get()", options));
  }

  /** Without a number, no call of the child waits for the error. */
  #fail(number: number | null, error: unknown): void {
    if (this.#ended) return;
    const call = this.#calls.get(number!);
    if (call !== undefined) call.isAnswered = true;
    tellRecord(
      (record: ErrorRecord) => this.#send([number, undefined, record]),
      toErrorRecord(error),
    );
  }
}

/** The permits or the items of an object. */
function innerOf(object: object): object {
  return typeOf(object)!.inner!(object);
}

function argumentsOf(bytes: unknown, limits: MessageLimits): unknown[] {
  const args = bytes instanceof Uint8Array && bytes.length <= limits.bytes
    ? decode(bytes as Bytes, 0, bytes.length, limits)
    : null;
  if (Array.isArray(args)) return args;
  throw new ProtocolError("A call of a shared object has no arguments");
}

function goneError(method: unknown): ReferenceError {
  return new ReferenceError(
    `Cannot ${method}: the program that shared the object has dropped it; keep a reference to it there`,
  );
}
