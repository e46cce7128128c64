/** What a thread does in the test that terminates threads at any moment. */
import type { Condition } from "../../workers/locks/condition.ts";
import type { Lock, RLock } from "../../workers/locks/lock.ts";
import type { Semaphore } from "../../workers/locks/semaphore.ts";
import type { ThreadEvent } from "../../workers/locks/thread_event.ts";
import type { SharedQueue } from "../../workers/queue/shared_queue.ts";

/** What all threads share. */
export interface Arena {
  lock: Lock;
  rlock: RLock;
  semaphore: Semaphore;
  condition: Condition;
  event: ThreadEvent;
  queue: SharedQueue<number>;
  /** By the names below. */
  words: Int32Array;
  /** How often each item was received. */
  received: Int32Array;
}

/** The words of an arena. */
export const WORD = {
  /** Increased without atomics under the lock, and with them. */
  guarded: 0,
  expected: 1,
  nested: 2,
  expectedNested: 3,
  /** How many have a permit, and the most that were seen. */
  inside: 4,
  mostInside: 5,
  /** The next item. */
  nextItem: 6,
  over: 7,
  steps: 8,
} as const;

/** Numbers that a seed repeats. */
export function randomOf(seed: number): (below: number) => number {
  return (below) => {
    seed = Math.imul(seed ^ seed >>> 15, seed | 1);
    seed ^= seed + Math.imul(seed ^ seed >>> 7, seed | 61);
    return ((seed ^ seed >>> 14) >>> 0) % below;
  };
}

interface Options {
  timeout?: number;
  signal?: AbortSignal;
  blocking?: boolean;
}

/** Nothing here awaits while it holds something, so a dead thread holds none. */
class Chaos {
  readonly #sync: boolean;
  readonly #random: (below: number) => number;
  readonly #arena: Arena;

  constructor(sync: boolean, seed: number, arena: Arena) {
    this.#sync = sync;
    this.#random = randomOf(seed);
    this.#arena = arena;
  }

  async step(): Promise<void> {
    const steps = [
      () => this.#lock(),
      () => this.#rlock(),
      () => this.#semaphore(),
      () => this.#condition(),
      () => this.#event(),
      () => this.#put(),
      () => this.#get(),
    ];
    try {
      await steps[this.#random(steps.length)]!();
    } catch (error) {
      const { name, message } = error as Error;
      if (message === "Enough" || /^Queue(Empty|Full)/.test(name)) return;
      throw error;
    }
  }

  #add(word: keyof typeof WORD, count = 1): number {
    return Atomics.add(this.#arena.words, WORD[word], count);
  }

  #options(): Options {
    const choice = this.#random(4);
    if (choice === 0) return { blocking: false };
    if (choice === 1) return { timeout: this.#random(4) };
    if (choice === 2 && !this.#sync) {
      const controller = new AbortController();
      setTimeout(() => controller.abort(new Error("Enough")), this.#random(3));
      return { signal: controller.signal };
    }
    return { timeout: 10_000 };
  }

  #briefly(): Options {
    return { timeout: 1 + this.#random(3) };
  }

  async #take(lock: Lock | RLock | Semaphore): Promise<boolean> {
    const options = this.#options();
    return this.#sync ? lock.acquireSync(options) : await lock.acquire(options);
  }

  async #lock(): Promise<void> {
    const { lock, words } = this.#arena;
    if (!await this.#take(lock)) return;
    words[WORD.guarded] = words[WORD.guarded]! + 1;
    this.#add("expected");
    lock.release();
  }

  async #rlock(): Promise<void> {
    const { rlock, words } = this.#arena;
    if (!await this.#take(rlock)) return;
    rlock.acquireSync();
    words[WORD.nested] = words[WORD.nested]! + 1;
    this.#add("expectedNested");
    rlock.release();
    rlock.release();
  }

  async #semaphore(): Promise<void> {
    const { semaphore, words } = this.#arena;
    if (!await this.#take(semaphore)) return;
    const inside = this.#add("inside") + 1;
    if (inside > words[WORD.mostInside]!) words[WORD.mostInside] = inside;
    this.#add("inside", -1);
    semaphore.release();
  }

  async #condition(): Promise<void> {
    const { condition } = this.#arena;
    const choice = this.#random(3);
    using _held = this.#sync ? condition.holdSync() : await condition.hold();
    if (choice === 0) condition.notify();
    else if (choice === 1) condition.notifyAll();
    else if (this.#sync) condition.waitSync(this.#briefly());
    else await condition.wait(this.#briefly());
  }

  async #event(): Promise<void> {
    const { event } = this.#arena;
    if (this.#random(2) === 0) return event.set();
    event.clear();
    if (this.#sync) event.waitSync(this.#briefly());
    else await event.wait(this.#briefly());
  }

  async #put(): Promise<void> {
    const { queue, received } = this.#arena;
    const item = this.#add("nextItem");
    if (item >= received.length) return;
    if (this.#sync) queue.putSync(item, this.#briefly());
    else await queue.put(item, this.#briefly());
  }

  async #get(): Promise<void> {
    const { queue, received } = this.#arena;
    const item = this.#sync
      ? queue.getSync(this.#briefly())
      : await queue.get(this.#briefly());
    Atomics.add(received, item, 1);
  }
}

/** Does whatever a seed says until it is over. */
export async function runChaos(
  sync: boolean,
  seed: number,
  arena: Arena,
): Promise<void> {
  const chaos = new Chaos(sync, seed, arena);
  while (Atomics.load(arena.words, WORD.over) === 0) {
    await chaos.step();
    Atomics.add(arena.words, WORD.steps, 1);
  }
}
