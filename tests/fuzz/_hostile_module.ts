/** Handlers and targets that attack their program, by a seed. */

import { FRAME } from "../../workers/line/dialect.ts";
import { encode } from "../../workers/codec/codec.ts";
import { StreamRequestHandler } from "../../handlers/mod.ts";
import { ForkingTCPServer } from "../../server/replica_servers.ts";
import type { SharedQueue } from "../../mod.ts";
import {
  createDice,
  type Dice,
  frameKind,
  lie,
  lieOfReplica,
  lieOfWorker,
  pick,
} from "./_lies.ts";

export const module = import.meta.url;

/** How many messages a flood has. */
const FLOOD = 30_000;

const { slice, subarray } = Uint8Array.prototype;
/** The frames to add to the next write. */
let forged: Uint8Array[] = [];

/** Whether these are the gathered frames of the channel. */
function isOutgoing(bytes: Uint8Array, args: unknown[]): boolean {
  return bytes.length >= 131_072 && args[0] === 0 && forged.length > 0;
}

/** Takes the place of the channel's own frames, wherever they are cut out. */
function intercept<M extends typeof slice | typeof subarray>(method: M): M {
  return function (this: Uint8Array, ...args: number[]) {
    const meant: Uint8Array = Reflect.apply(method, this, args);
    if (!isOutgoing(this, args)) return meant;
    const frames = [meant, ...forged];
    forged = [];
    const size = frames.reduce((sum, { length }) => sum + length, 0);
    const all = new Uint8Array(size);
    let at = 0;
    for (const frame of frames) {
      all.set(frame, at);
      at += frame.length;
    }
    return all;
  } as M;
}

function frame(kind: number, body: Uint8Array, claim = body.length) {
  const bytes = new Uint8Array(5 + body.length);
  bytes[0] = kind;
  new DataView(bytes.buffer).setUint32(1, claim, true);
  bytes.set(body, 5);
  return bytes;
}

/** Bytes of a message of many small values, as no honest end writes them. */
function bomb(unit: number[], count: number): Uint8Array {
  const bytes = new Uint8Array(5 + unit.length * count);
  bytes[0] = 8;
  new DataView(bytes.buffer).setUint32(1, count, true);
  for (let at = 5; at < bytes.length; at += unit.length) bytes.set(unit, at);
  return bytes;
}

const BOMBS: readonly (() => Uint8Array)[] = [
  () => bomb([9, 0, 0, 0, 0], 1_500_000),
  () => bomb([0], 8_000_000),
  () => bomb([7, 0, 0, 0, 0], 1_000_000),
  () => bomb([6, 0, 0, 0, 0], 1_000_000),
  () => encode("x".repeat(20_000_000)),
  () => new Uint8Array([8, 255, 255, 255, 255]),
  () => new Uint8Array([7, 255, 255, 255, 127]),
  () => encode(new Map(Array.from({ length: 300_000 }, (_, i) => [i, {}]))),
  () => encode(Array.from({ length: 100_000 }, (_, i) => ({ i }))),
];

function randomBytes(dice: Dice): Uint8Array {
  return new Uint8Array(dice(200)).map(() => dice(256));
}

function bodyOf(dice: Dice, say: (dice: Dice) => unknown): Uint8Array {
  try {
    return encode(say(dice));
  } catch {
    return randomBytes(dice);
  }
}

/** Sends the same short message so often that many come in one read. */
function flood(dice: Dice, say: (dice: Dice) => unknown): void {
  for (let tries = 0; tries < 20; tries++) {
    const body = bodyOf(dice, say);
    if (body.length > 100) continue;
    const one = frame(FRAME.message, body);
    const many = new Uint8Array(one.length * FLOOD);
    for (let at = 0; at < many.length; at += one.length) many.set(one, at);
    forged.push(many);
    return;
  }
}

/** Sends frames that the channel would not send. */
function forgeFrames(dice: Dice, say: (dice: Dice) => unknown): void {
  if (dice(4) === 0) return flood(dice, say);
  const count = pick(dice, [1, 5, 300]);
  for (let i = 0; i < count; i++) {
    const kind = frameKind(dice);
    switch (dice(8)) {
      case 0:
        forged.push(frame(kind, randomBytes(dice)));
        break;
      case 1:
        forged.push(frame(kind, randomBytes(dice), dice(2 ** 32)));
        break;
      case 2:
        if (count > 5) break;
        forged.push(frame(0, pick(dice, BOMBS)()));
        break;
      default:
        forged.push(frame(dice(4) === 0 ? kind : 0, bodyOf(dice, say)));
    }
  }
}

/** Objects whose methods user code can replace. */
const TARGETS: readonly object[] = [
  Array.prototype,
  Object,
  JSON,
  Map.prototype,
  Set.prototype,
  Promise.prototype,
  Promise,
  Uint8Array.prototype,
  Object.getPrototypeOf(Uint8Array.prototype),
  DataView.prototype,
  TextEncoder.prototype,
  TextDecoder.prototype,
  String.prototype,
  Function.prototype,
  Atomics,
  MessagePort.prototype,
  AbortController.prototype,
  EventTarget.prototype,
  performance,
  crypto,
  Reflect,
  Deno,
  globalThis,
];

const TRICKS: readonly ((dice: Dice) => (...args: unknown[]) => unknown)[] = [
  (dice) => () => lie(dice),
  () => () => undefined,
  () => () => {
    throw new Error("a replaced function");
  },
  () => () => {
    throw null;
  },
  () => (...args) => args[0],
];

/** Replaces some of what this module's host calls. */
function replaceGlobals(dice: Dice): void {
  for (let count = 1 + dice(4); count > 0; count--) {
    const target = pick(dice, TARGETS) as Record<string, unknown>;
    const names = Object.getOwnPropertyNames(target).filter((name) => {
      const { value, writable } = Object.getOwnPropertyDescriptor(
        target,
        name,
      )!;
      return writable && typeof value === "function";
    });
    if (names.length === 0) continue;
    target[pick(dice, names)] = pick(dice, TRICKS)(dice);
  }
}

/** Attacks; may never return. */
async function attack(
  seed: number,
  say: (dice: Dice) => unknown,
): Promise<void> {
  const dice = createDice(seed);
  switch (dice(8)) {
    case 0:
      return Deno.exit(pick(dice, [0, 1, 99]));
    case 1:
      while (true);
      // falls through
    case 2:
      throw lie(dice);
    case 3:
    case 4:
      replaceGlobals(dice);
      break;
    default:
      Uint8Array.prototype.subarray = intercept(subarray);
      Uint8Array.prototype.slice = intercept(slice);
      forgeFrames(dice, say);
  }
  await Promise.resolve();
}

/** Prints nothing, here and in its replicas. */
export class QuietServer extends ForkingTCPServer {
  static readonly module = module;
  override handleError(): void {}
}

/** Attacks as a replica. */
export class Hostile extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    const [word, seed] = (await this.rfile.readLine() ?? "").split(" ");
    if (word === "attack") {
      await attack(Number(seed), lieOfReplica);
      // The forged frames go with the next message
      await this.server.stats().catch(() => {});
    }
    await this.wfile.write(`ok ${word}\n`);
  }
}

/** Attacks as a process, or as a pool's worker. */
export async function work(
  seed: number,
  who: "process" | "worker",
  queue: SharedQueue<unknown> | null,
): Promise<unknown> {
  if (seed === 0) return "ok";
  await attack(seed, who === "worker" ? lieOfWorker : lie);
  if (queue !== null) await queue.put(lie(createDice(seed)));
  return lie(createDice(seed));
}
