/** What a queue's host in the parent owes its children, whatever they say. */
import { assertEquals } from "@std/assert";
import {
  LifoQueue,
  PriorityQueue,
  QueueClosedError,
  QueueEmptyError,
  QueueFullError,
  SharedQueue,
} from "../../mod.ts";
import { decode, encode } from "../../workers/codec/codec.ts";
import { readInt32 } from "../../workers/codec/decode.ts";
import { exportObject, typeOf } from "../../workers/codec/share.ts";
import type { ErrorRecord } from "../../workers/line/dialect.ts";
import type { QueueCore } from "../../workers/queue/_queue_core.ts";
import { ShareHost } from "../../workers/queue/_shares.ts";
import { randomOf } from "../locks/_chaos.ts";
import { pause } from "../support/waiting.ts";

type Random = (below: number) => number;
type Bytes = Uint8Array<ArrayBuffer>;
type Answer = [call: number | string, value?: unknown, ErrorRecord?, Bytes?];

const WAITS = [{}, {}, { blocking: false }, { timeout: 2 }];

/** Says what a child process would, as early or late as chance has it. */
class Child {
  /** The items that it has. */
  readonly taken: number[] = [];
  /** Those that it has put, and those of which it does not know it. */
  readonly put = new Set<number>();
  readonly unsure = new Set<number>();
  #host = new ShareHost((message) => this.#answers.push(message as Answer));
  #answers: Answer[] = [];
  #queue: string;
  #random: Random;
  #calls = 0;
  /** The accounts of its gets, and the items of its puts, by their calls. */
  #gets = new Map<number, number>();
  #puts = new Map<number, number>();
  /** The items that came ahead, by the call. */
  #ahead = new Map<number, number[]>();

  constructor(queue: string, random: Random) {
    this.#queue = queue;
    this.#random = random;
  }

  /** Does something; `item` is one to put. */
  act(item: number): void {
    const random = this.#random;
    const act = random(16);
    if (act < 5) this.#get(random(4) === 0 ? 1 + random(2) : 0);
    else if (act < 7) this.#putOne(item);
    else if (act < 8) this.#cancel();
    else if (act < 10) this.#claim();
    else if (act < 15) this.#read(1 + random(4));
    else this.#endAccount(1 + random(2));
  }

  die(): void {
    this.#host.end(this.#random(2) === 0);
  }

  #get(account: number): void {
    this.#gets.set(++this.#calls, account);
    this.#call("get", [], account, this.#random(2) * this.#random(10));
  }

  #putOne(item: number): void {
    this.#puts.set(++this.#calls, item);
    this.unsure.add(item);
    this.#call("put", [item], 0, 0);
  }

  #call(method: string, args: unknown[], account: number, most: number): void {
    this.#host.receive([
      "call",
      this.#calls,
      this.#queue,
      method,
      encode(args),
      WAITS[this.#random(WAITS.length)],
      account,
      most,
    ]);
  }

  #cancel(): void {
    const calls = [...this.#gets.keys(), ...this.#puts.keys()];
    const call = calls[this.#random(calls.length)];
    if (call !== undefined) this.#host.receive(["cancel", call]);
  }

  #claim(): void {
    for (const [call, items] of this.#ahead) {
      const count = 1 + this.#random(items.length);
      this.taken.push(...items.splice(0, count));
      if (items.length === 0) this.#ahead.delete(call);
      return this.#host.receive(["took", call, count]);
    }
  }

  #endAccount(account: number): void {
    this.#host.receive(["end", account, this.#random(2) === 0]);
    for (const [call, of] of this.#gets) {
      if (of === account) this.#gets.delete(call);
    }
  }

  #read(count: number): void {
    for (const answer of this.#answers.splice(0, count)) {
      const [call, value, error, ahead] = answer;
      if (call === "recall") {
        this.#ahead.delete(value as number);
        this.#host.receive(["back", value]);
      } else if (this.#puts.has(call as number)) {
        const item = this.#puts.get(call as number)!;
        this.#puts.delete(call as number);
        this.unsure.delete(item);
        if (error === undefined) this.put.add(item);
        this.#host.receive(["took", call, 1]);
        // Not what an account asked for that has ended
      } else if (this.#gets.delete(call as number)) {
        if (value !== undefined) this.taken.push(decode(value as Bytes) as 0);
        if (ahead !== undefined) this.#ahead.set(call as number, split(ahead));
        this.#host.receive(["took", call, 1]);
      }
    }
  }
}

function split(ahead: Bytes): number[] {
  const items: number[] = [];
  for (let at = 0; at < ahead.length;) {
    const start = at + 4;
    at = start + readInt32(ahead, at);
    items.push(decode(ahead, start, at) as number);
  }
  return items;
}

/** Does something to a queue, unless it is empty or full. */
function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    const expected = [QueueEmptyError, QueueFullError, QueueClosedError];
    if (!expected.some((Class) => error instanceof Class)) throw error;
  }
}

for (
  const Queue of [SharedQueue<number>, LifoQueue<number>, PriorityQueue<number>]
) {
  Deno.test(`${Queue.name} has each item once, and all its room, whatever children say and whenever they die`, async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = randomOf(seed);
      const capacity = [200, 1_000, 100_000][random(3)]!;
      const queue = new Queue({ capacity, maxSize: 1 + random(50) });
      const id = exportObject(queue);
      const [put, taken] = [new Set<number>(), [] as number[]];
      const waits: Promise<unknown>[] = [];
      const [children, living] = [[] as Child[], [] as Child[]];
      for (let step = 0; step < 200; step++) {
        const child = living[random(living.length)];
        const what = random(16);
        if (what < 2) {
          attempt(() => (queue.putNowait(step), put.add(step)));
        } else if (what === 2) {
          const item = attempt(() => queue.getNowait());
          if (item !== undefined) taken.push(item);
        } else if (what === 3) {
          const got = queue.get({ timeout: 1 + random(3) });
          waits.push(got.then((item) => taken.push(item), () => {}));
        } else if (what < 6 && living.length < 3) {
          const born = new Child(id, random);
          children.push(born);
          living.push(born);
        } else if (what === 6 && random(3) === 0 && child) {
          living.splice(living.indexOf(child), 1);
          child.die();
        } else if (what < 9 || !child) await pause(0);
        else child.act(step);
      }
      for (const child of living) child.die();
      await Promise.all(waits);
      await pause(0);
      const core = typeOf(queue)!.inner!(queue) as QueueCore;
      const { ahead, getters, putters } = core;
      assertEquals([ahead, getters.size, putters.size], [0, 0, 0]);
      while (!queue.empty()) taken.push(queue.getNowait());
      const all = [...taken, ...children.flatMap(({ taken }) => taken)];
      const found = new Set(all);
      assertEquals(all.length, found.size, `seed ${seed}: one came twice`);
      for (const child of children) {
        for (const item of child.put) put.add(item);
        for (const item of child.unsure) if (found.has(item)) put.add(item);
      }
      assertEquals([...found].sort(), [...put].sort(), `seed ${seed}`);
      // The largest item that there can be
      const overhead = Queue.name === "SharedQueue" ? 4 : 20;
      const least = overhead + encode([0, new Uint8Array()]).length;
      queue.putNowait([0, new Uint8Array(capacity - least)] as never);
    }
  });
}
