/** Messages of hostile code: values that no honest end sends, by a seed. */

import { FRAME } from "../../workers/line/dialect.ts";
import { COUNTS } from "../../server/core/faults.ts";

/** Numbers from 0 to below a bound, the same in every run. */
export type Dice = (below: number) => number;

/** Makes dice. */
export function createDice(seed: number): Dice {
  let state = Math.imul(seed + 1, 0x9e3779b9);
  return (below) => {
    state = state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(state ^ state >>> 15, state | 1);
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61);
    return ((mixed ^ mixed >>> 14) >>> 0) % below;
  };
}

export function pick<T>(dice: Dice, values: readonly T[]): T {
  return values[dice(values.length)]!;
}

const NUMBERS = [
  0,
  -0,
  -1,
  1,
  0.5,
  NaN,
  Infinity,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 53,
  Number.MAX_SAFE_INTEGER,
  -1e308,
];
const WORDS = [
  "",
  "done",
  "closed",
  "aborted",
  "pong",
  "opened",
  "cut",
  "ended",
  "event",
  "ask",
  "leaving",
  "call",
  "cancel",
  "took",
  "acquire",
  "release",
  "put",
  "get",
  "join",
  "stats",
  "shutdown",
  "error",
  "requestEnd",
  "connection",
  "constructor",
  "__proto__",
  "then",
  "@socketserver/sync",
];

function ring(): unknown {
  const value: Record<string, unknown> = {};
  value.self = value;
  value.cause = { error: value };
  return value;
}

function deep(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level++) value = [value];
  return value;
}

function holes(length: number): unknown[] {
  const list = new Array(length);
  list[7] = 1;
  return list;
}

const CLIENT = { transport: "tcp", hostname: "127.0.0.1", port: 1 };

/** Values that are hard to walk through, to show or to keep. */
const MONSTERS: readonly ((dice: Dice) => unknown)[] = [
  () => holes(2 ** 32 - 1),
  () => holes(100_000),
  () => new Array(50_000).fill(0),
  () => Array.from({ length: 2_000 }, () => ({ a: {} })),
  () => "x".repeat(300_000),
  () => new Uint8Array(300_000),
  () => new Map([[1, new Set([holes(1e9)])]]),
  () => new Map(Array.from({ length: 1_000 }, (_, i) => [i, new Date(i)])),
  () => ring(),
  () => deep(1_000),
  () => deep(7),
  () => Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [i, i])),
  () => JSON.parse('{ "__proto__": { "transport": "tcp" } }'),
  () => 2n ** 10_000n,
  () => new Error("x", { cause: ring() }),
  () => /x/,
  () => new Float64Array(10),
];

/** Any value that can cross. */
export function lie(dice: Dice, depth = 0): unknown {
  switch (dice(depth > 2 ? 6 : 10)) {
    case 0:
      return pick(dice, [undefined, null, true, false]);
    case 1:
    case 2:
      return pick(dice, NUMBERS);
    case 3:
    case 4:
      return pick(dice, WORDS);
    case 5:
      return pick(dice, MONSTERS)(dice);
    case 6:
    case 7:
      return Array.from({ length: dice(6) }, () => lie(dice, depth + 1));
    case 8:
      return { ...CLIENT, [pick(dice, WORDS)]: lie(dice, depth + 1) };
    default:
      return {
        name: lie(dice, depth + 1),
        message: pick(dice, WORDS),
        cause: { error: lie(dice, depth + 1) },
      };
  }
}

/** Replaces a part of an honest message, or adds one. */
function spoil(dice: Dice, message: unknown): unknown {
  if (!Array.isArray(message) || dice(5) === 0) return lie(dice);
  const spoiled = [...message];
  spoiled[dice(message.length + 1)] = dice(3) === 0
    ? spoil(dice, message[dice(message.length)])
    : lie(dice);
  return spoiled;
}

const counts = COUNTS.map(() => 0);

const FROM_REPLICA: readonly unknown[] = [
  ["done"],
  ["closed"],
  ["pong", 1e7],
  ["opened", 1, CLIENT],
  ["cut", 1],
  ["ended", [1], counts, [0.5], [0]],
  ["event", "error", {
    clientAddress: CLIENT,
    error: { name: "Error", message: "x" },
  }],
  ["event", "requestEnd", {
    clientAddress: CLIENT,
    duration: 1,
    bytesRead: 2,
    bytesWritten: 3,
    failed: false,
  }],
  ["ask", 1, "stats"],
  ["leaving"],
];

/** A message of a replica, honest or spoiled. */
export function lieOfReplica(dice: Dice): unknown {
  const message = pick(dice, FROM_REPLICA);
  return dice(4) === 0 ? message : spoil(dice, message);
}

/** A call of a shared object, honest or spoiled. */
export function lieOfChild(
  dice: Dice,
  object: string,
  encode: (value: unknown) => Uint8Array,
): unknown {
  const args = encode(dice(3) === 0 ? lie(dice) : [lie(dice)]);
  const method = pick(dice, ["put", "get", "release", "acquire", "close"]);
  const account = pick(dice, [0, 0, dice(5)]);
  const options = pick(dice, [null, {}, { timeout: 0 }]);
  const number = dice(20);
  const message = pick(dice, [
    ["call", number, object, method, args, options, account],
    ["call", number, object, method, args, options, account],
    ["tell", 0, object, method, args, account],
    ["cancel", number],
    ["took", number, dice(3)],
    ["back", number],
    ["end", account, dice(2) === 0],
  ]);
  return dice(3) === 0 ? spoil(dice, message) : message;
}

/** A message of a pool's worker, honest or spoiled. */
export function lieOfWorker(dice: Dice): unknown {
  const answer = [dice(70), dice(6), lie(dice), dice(10)];
  return pick(dice, [0, 1, answer, answer, spoil(dice, answer)]);
}

/** The kinds of frames, and some that there are not. */
export function frameKind(dice: Dice): number {
  return pick(dice, [...Object.values(FRAME), FRAME.message, 6, 255]);
}

/** Bytes of a relay: frames, some of them cut off or with an odd length. */
export function lieOfRelay(dice: Dice): Uint8Array {
  const bytes = new Uint8Array(12 * (1 + dice(4)) + dice(30));
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + 12 <= bytes.length;) {
    const size = Math.min(dice(20), bytes.length - at - 12);
    view.setUint32(at, dice(13));
    view.setUint32(at + 4, pick(dice, [0, 1, 2, dice(2 ** 32)]));
    view.setUint32(at + 8, dice(9) === 0 ? dice(2 ** 32) : size);
    for (let i = 0; i < size; i++) bytes[at + 12 + i] = dice(256);
    at += 12 + size;
  }
  return bytes;
}
