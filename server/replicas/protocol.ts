/**
 * The messages between a server and its replicas, and their order.
 *
 * The server gives a replica its {@linkcode Boot} with the runner's start. From
 * then on:
 *
 * - Of the commands `resume`, `pause`, `leave` and `close` one is under way at a
 *   time.
 *   The replica answers each with `done`: it accepts, or accepts no more. After
 *   `close` it tells with `closed` that its requests have ended. No command
 *   follows `close`, and nothing follows `closed`.
 * - `drain`, `alone`, `limits`, `watch`, `ping`, `disconnect` and `answer` may come
 *   at any time; `pong` answers `ping`. `disconnect` may name a request that has
 *   ended. After `alone` a `leave` that is under way waits for no silence: the
 *   others leave as well.
 *   `drain` leaves the replica no more time than it says, and
 *   {@linkcode CUT_OFF_AFTER_MS}, also if it closes already.
 * - `opened` tells of a request that the replica accepted by itself: after the
 *   first `resume` and before `closed`, with rising numbers. `ended` names open
 *   ones only, how long each took in milliseconds, -1 if it was turned away, and
 *   how it ended. `cut` names one that a deadline of the replica has cut off.
 * - `event` may come of what is watched, and of what was until a moment ago.
 * - Counts never go down.
 * - `ask` and `leaving` may come at any time, and `answer` answers `ask`.
 * - `working` may come at any time: handlers go on, though the event loop of the
 *   process does not turn.
 * - Bytes are the relay's. No message overtakes another, but a replica answers a
 *   `ping` before its handlers get what arrived earlier.
 * - No list is longer than {@linkcode MAX_LIST}: a longer one is sent in parts.
 *
 * Whatever else arrives ends the replica, and never the server.
 *
 * @module
 */

import type { ServerStats } from "../../handlers/request_types.ts";
import { isAddress, plainAddress } from "../../workers/relay/frames.ts";
import type { RelayMemory } from "../../workers/line/shared_line.ts";
import type { ErrorRecord } from "../../workers/line/dialect.ts";
import { COUNTS } from "../core/faults.ts";
import type { ServerLimits } from "../options.ts";
import type { AnyOptions, Certificate } from "../_internal.ts";
import type { Sharing } from "./port_sharing.ts";

/** A class by its module and its name there. */
export interface ClassRef {
  module: string;
  name: string;
}

/** The data of a replica's start. */
export interface Boot {
  server: ClassRef;
  handler: ClassRef;
  /** The address of the whole server. */
  address: Deno.Addr;
  /** How the replica accepts, or `null` if it does not. */
  sharing: Sharing | null;
  /** The options that concern a replica. */
  options: Partial<AnyOptions>;
  /** The packed context. */
  context: unknown;
  /** What the relay shares with a thread. */
  memory: RelayMemory | null;
  /** What `currentThread()` is in a thread. */
  thread: { ident: number; name: string; lastIdent: Int32Array } | null;
}

/** The commands to a replica. Only one is pending at a time. */
export type Command =
  | ["resume"]
  | ["pause"]
  | ["leave", othersStay: boolean]
  | ["close", timeout: number];

/** From a server to its replica. */
export type ToReplica =
  | Command
  | ["drain", timeout: number]
  | ["alone"]
  | ["watch", names: ReplicaEventName[]]
  | ["ping"]
  | ["limits", limits: ServerLimits]
  | ["certificate", tls: Certificate]
  | ["answer", id: number, value: ServerStats | null]
  | ["disconnect", id: number]
  | Uint8Array;

/** A replica's questions: the counts of the whole server, or its shutdown. */
export type Question = "stats" | "shutdown";

/** The value of each count, from the replica's start on. */
export type CountValues = number[];

/** From a replica to its server. */
export type FromReplica =
  | ["done"]
  | ["closed"]
  | ["pong", memory: number]
  | ["opened", id: number, clientAddress: Deno.Addr]
  | ["cut", id: number]
  | [
    "ended",
    ids: number[],
    counts: CountValues,
    durations: number[],
    endings: number[],
  ]
  | ["event", name: ReplicaEventName, details: EventDetails]
  | ["ask", id: number, question: Question]
  | ["leaving"]
  | ["working"]
  | Uint8Array;

/** The events of what happens in a replica. */
export const REPLICA_EVENTS = [
  "connection",
  "requestEnd",
  "refusal",
  "error",
] as const;

/** One of {@linkcode REPLICA_EVENTS}. */
export type ReplicaEventName = typeof REPLICA_EVENTS[number];

/** The fields of an event; an error is a record. */
export interface EventDetails {
  clientAddress: Deno.Addr | null;
  error?: ErrorRecord;
  duration?: number;
  bytesRead?: number;
  bytesWritten?: number;
  failed?: boolean;
  reason?: string;
}

/**
 * Replicas abort this much later than their server, so that it can report which
 * requests it aborted.
 */
export const CUT_OFF_AFTER_MS = 100;

/** The longest list in a message: checking it takes less than 1 ms. */
export const MAX_LIST = 4_096;

const MAX_REASON_LENGTH = 100;

/** Checks a value, which may depend on those before it in its message. */
type Check = (value: unknown, message?: readonly unknown[]) => boolean;
type Shapes = Readonly<Record<string, readonly Check[]>>;

const isCounts = every(isCount);

const FROM_REPLICA: Shapes = {
  done: [],
  closed: [],
  pong: [isCount],
  opened: [isCount, isAddress],
  cut: [isCount],
  ended: [isCounts, isCountValues, every(isDuration), isCounts],
  event: [oneOf(...REPLICA_EVENTS), isDetails],
  ask: [isCount, oneOf("stats", "shutdown")],
  leaving: [],
  working: [],
};

const DETAILS: Readonly<Record<string, Check>> = {
  clientAddress: (value) => value === null || isAddress(value),
  error: isObject,
  duration: isDuration,
  bytesRead: isCount,
  bytesWritten: isCount,
  failed: oneOf(true, false),
  reason: (value) =>
    typeof value === "string" && value.length <= MAX_REASON_LENGTH,
};

const DETAIL_NAMES = Object.keys(DETAILS);

/** The fields that each event has; others may be missing. */
const NEEDED: Readonly<
  Record<ReplicaEventName, readonly (keyof EventDetails)[]>
> = {
  connection: ["clientAddress"],
  requestEnd: [
    "clientAddress",
    "duration",
    "bytesRead",
    "bytesWritten",
    "failed",
  ],
  refusal: ["clientAddress", "reason"],
  error: ["error"],
};

const TO_REPLICA: Shapes = {
  resume: [],
  pause: [],
  leave: [oneOf(true, false)],
  close: [isTime],
  drain: [isTime],
  alone: [],
  watch: [every(oneOf(...REPLICA_EVENTS))],
  ping: [],
  limits: [isObject],
  certificate: [isObject],
  answer: [isCount, isObject],
  disconnect: [isCount],
};

/**
 * Checks a message of a replica.
 *
 * @throws {TypeError} If it is no message of a replica.
 */
export function decodeFromReplica(message: unknown): FromReplica {
  return decode(FROM_REPLICA, "replica", message) as FromReplica;
}

/**
 * Checks a message of a server.
 *
 * @throws {TypeError} If it is no message of a server.
 */
export function decodeToReplica(message: unknown): ToReplica {
  return decode(TO_REPLICA, "server", message) as ToReplica;
}

/** The error of a message that is out of order. */
export function outOfOrder(what: string): TypeError {
  return new TypeError(`Cannot take "${what}": it is out of order`);
}

function decode(shapes: Shapes, from: string, message: unknown): unknown {
  // Shared memory can still change, so it is no message
  if (message instanceof Uint8Array && message.buffer instanceof ArrayBuffer) {
    return message;
  }
  const [name, length] = Array.isArray(message)
    ? [message[0], message.length]
    : [];
  if (typeof name === "string" && Object.hasOwn(shapes, name)) {
    const checks = shapes[name]!;
    const values = message as unknown[];
    if (
      length === checks.length + 1 &&
      checks.every((check, i) => check(values[i + 1], values))
    ) return message;
  }
  const what = typeof name === "string"
    ? `"${name.slice(0, 40)}"`
    : `a value of type ${typeof message}`;
  throw new TypeError(
    `Cannot take a message of the ${from}: ${what} is malformed or unknown`,
  );
}

/** A short list without holes, which `Array.prototype.every()` passes over. */
function every(check: Check): Check {
  return (value) => {
    if (!Array.isArray(value) || value.length > MAX_LIST) return false;
    for (let i = 0; i < value.length; i++) {
      if (!check(value[i])) return false;
    }
    return true;
  };
}

function oneOf(...values: unknown[]): Check {
  return (value) => values.includes(value);
}

function isTime(value: unknown): boolean {
  return typeof value === "number" && value >= 0;
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isCountValues(value: unknown): boolean {
  return isCounts(value) && (value as unknown[]).length === COUNTS.length;
}

function isDuration(value: unknown): boolean {
  return Number.isFinite(value) && (value as number) >= -1;
}

/** An event may omit fields that it does not need. */
function isDetails(value: unknown, message?: readonly unknown[]): boolean {
  if (!isObject(value) || value === null) return false;
  const details = value as Record<string, unknown>;
  const needed = NEEDED[message![1] as ReplicaEventName];
  return "clientAddress" in details &&
    needed.every((name) => (details[name] ?? null) !== null) &&
    DETAIL_NAMES.every((name) => {
      const field = details[name];
      return field === undefined || DETAILS[name]!(field);
    });
}

/**
 * Takes the fields of an event. An object can have more than can be listed in a
 * moment.
 *
 * @param details What came.
 * @returns The fields that have a meaning.
 */
export function detailsOf(details: EventDetails): EventDetails {
  const { clientAddress, ...fields } = Object.fromEntries(
    DETAIL_NAMES.map((name) => [name, details[name as keyof EventDetails]])
      .filter(([, value]) => value !== undefined),
  ) as unknown as EventDetails;
  return {
    ...fields,
    clientAddress: clientAddress === null ? null : plainAddress(clientAddress),
  };
}

function isObject(value: unknown): boolean {
  return typeof value === "object";
}
