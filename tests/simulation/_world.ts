/**
 * A scheduler with a seed that owns time: while a simulation runs, timers and
 * the clock of the whole isolate are its own, and one event follows another in
 * an order that the seed alone decides.
 */

import { AsyncLocalStorage } from "node:async_hooks";

/** A part of the simulation that can die, and then no timer of it fires. */
export interface Owner {
  readonly name: string;
  alive: boolean;
  /** Until then it computes, and nothing of it happens. */
  busyUntil?: number;
  /** When it computed. */
  busy?: [from: number, to: number][];
}

interface Event {
  at: number;
  order: number;
  owner: Owner;
  run: () => void;
  /** Whether it is still to happen although its owner has died. */
  always: boolean;
  isBackground: boolean;
}

const realImmediate = globalThis.setImmediate;
const realNow = performance.now.bind(performance);
const REAL = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  setImmediate: globalThis.setImmediate,
};

/** Beyond this something goes on for ever. */
const MAX_STEPS = 300_000;

export class World {
  now = 0;
  steps = 0;
  /** The last events, for the report of a failure. */
  readonly trace: string[] = [];
  readonly root: Owner = { name: "parent", alive: true };
  #random: number;
  #events: Map<number, Event> = new Map();
  #order = 0;
  #owners = new AsyncLocalStorage<Owner>();
  #failure: Error | null = null;

  constructor(seed: number) {
    this.#random = seed * 2_654_435_761 >>> 0 || 1;
  }

  /** A number from 0 to below 1. */
  random(): number {
    this.#random = this.#random + 0x6d2b79f5 | 0;
    let t = Math.imul(this.#random ^ this.#random >>> 15, 1 | this.#random);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 to below `limit`. */
  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  /** Whether something of this probability happens. */
  chance(probability: number): boolean {
    return this.random() < probability;
  }

  get owner(): Owner {
    return this.#owners.getStore() ?? this.root;
  }

  /** How much longer its owner computes. */
  get lag(): number {
    return Math.max(0, (this.owner.busyUntil ?? 0) - this.now);
  }

  /** Has the owner compute: its event loop does not turn for so long. */
  compute(ms: number): void {
    const from = this.now + this.lag;
    this.owner.busyUntil = from + ms;
    (this.owner.busy ??= []).push([from, from + ms]);
  }

  /** For how long an owner could do something between two times. */
  idleTime({ busy = [] }: Owner, since: number, until: number): number {
    let idle = until - since;
    for (const [from, to] of busy) {
      idle -= Math.max(0, Math.min(to, until) - Math.max(from, since));
    }
    return idle;
  }

  /** Waits while the owner computes: its reads, too, are for a later turn. */
  async whenIdle(): Promise<void> {
    while (this.lag > 0) await this.sleep(0);
  }

  /** Runs a part of the simulation as its owner's. */
  as<T>(owner: Owner, run: () => T): T {
    return this.#owners.run(owner, run);
  }

  note(what: string): void {
    this.trace.push(`${this.now.toFixed(1)} ${what}`);
    if (this.trace.length > 400) this.trace.shift();
  }

  /** Has something happen in `delay` ms. */
  at(delay: number, run: () => void, options: Partial<Event> = {}): number {
    const id = ++this.#order;
    this.#events.set(id, {
      at: this.now + this.lag + Math.max(0, delay || 0),
      order: id,
      owner: this.owner,
      run,
      always: false,
      isBackground: false,
      ...options,
    });
    return id;
  }

  cancel(id: number | undefined): void {
    if (id !== undefined) this.#events.delete(id);
  }

  sleep(delay: number): Promise<void> {
    return new Promise((resolve) => this.at(delay, resolve));
  }

  /** What still is to happen to an owner, for a check that nothing waits. */
  pendingOf(owner: Owner): number {
    return [...this.#events.values()].filter((event) =>
      event.owner === owner && !event.isBackground
    ).length;
  }

  /** Ends the run: something is not as it must be. */
  fail(message: string): void {
    this.#failure ??= new Error(message);
  }

  /** Runs to the end of `main`, one event after the other. */
  async run(main: () => Promise<void>): Promise<void> {
    const restore = this.#install();
    try {
      let isDone = false;
      const done = this.as(this.root, main).finally(() => isDone = true);
      done.catch(() => {});
      for (;;) {
        await new Promise((resolve) => realImmediate(resolve));
        if (this.#failure !== null) throw this.#failure;
        if (isDone) return await done;
        this.#step();
      }
    } finally {
      restore();
    }
  }

  #step(): void {
    let next: Event | null = null;
    for (const event of this.#events.values()) {
      if (
        next === null || event.at < next.at ||
        (event.at === next.at && event.order < next.order)
      ) next = event;
    }
    if (next === null || ++this.steps > MAX_STEPS) {
      throw new Error(`Stuck after ${this.steps} steps: something waits`);
    }
    this.#events.delete(next.order);
    this.now = next.at;
    if (!next.owner.alive && !next.always) return;
    const { busyUntil = 0 } = next.owner;
    if (busyUntil > this.now) {
      next.at = busyUntil;
      this.#events.set(next.order, next);
      return;
    }
    try {
      this.as(next.owner, next.run);
    } catch (error) {
      this.fail(`An event threw: ${(error as Error).stack}`);
    }
  }

  #install(): () => void {
    const timer = (run: () => void, delay = 0, ...args: unknown[]) =>
      this.at(delay, () => (run as (...args: unknown[]) => void)(...args));
    const repeat = (run: () => void, delay = 0): number => {
      const owner = this.owner;
      const id = ++this.#order;
      const again = (): void => {
        this.#events.set(id, {
          at: this.now + Math.max(1, delay),
          order: id,
          owner,
          always: false,
          isBackground: true,
          run: () => {
            again();
            run();
          },
        });
      };
      again();
      return id;
    };
    const cancel = (id: number) => this.cancel(id);
    Object.assign(globalThis, {
      setTimeout: timer,
      clearTimeout: cancel,
      setInterval: repeat,
      clearInterval: cancel,
      // What is shared by all halves of the isolate must not die with one
      setImmediate: (run: () => void) => this.at(0, run, { always: true }),
    });
    performance.now = () => this.now + this.lag;
    const { waitAsync, notify, store, add } = Atomics;
    let waiters: { owner: Owner; resolve: (value: "ok") => void }[] = [];
    Atomics.waitAsync = ((words: Int32Array, at: number, seen: number) => {
      if (Atomics.load(words, at) !== seen) {
        return { async: false, value: "not-equal" };
      }
      const { owner } = this;
      const value = new Promise<"ok">((resolve) => {
        waiters.push({ owner, resolve });
      });
      return { async: true, value };
    }) as typeof waitAsync;
    // Immediates run after a death, but the dead write nothing
    Atomics.store =
      ((words: Int32Array, at: number, value: number) =>
        this.owner.alive ? store(words, at, value) : value) as typeof store;
    Atomics.add =
      ((words: Int32Array, at: number, value: number) =>
        this.owner.alive ? add(words, at, value) : words[at]!) as typeof add;
    // Whatever it is that they wait for: they look again. It is no matter to
    // them whether the one that notifies computes after that
    Atomics.notify = () => {
      for (const { owner, resolve } of waiters.splice(0)) {
        const at = Math.max(this.now, owner.busyUntil ?? 0) + this.below(3);
        this.at(0, () => resolve("ok"), { owner, at });
      }
      return 0;
    };
    const { unrefTimer } = Deno;
    Deno.unrefTimer = () => {};
    return () => {
      Object.assign(globalThis, REAL);
      performance.now = realNow;
      Deno.unrefTimer = unrefTimer;
      waiters = [];
      Object.assign(Atomics, { waitAsync, notify, store, add });
    };
  }
}
