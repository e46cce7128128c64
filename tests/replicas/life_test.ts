/** The time limits of a replica's life. */

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type RunnerExit, RunnerExitError } from "../../mod.ts";
import { Life } from "../../server/replicas/life.ts";
import type { Runner } from "../../workers/runner/runner.ts";

/** Timers that a test fires. */
class Timers implements Disposable {
  readonly waiting: Map<number, [callback: () => void, delay: number]> =
    new Map();
  #set = globalThis.setTimeout;
  #clear = globalThis.clearTimeout;
  #lastId = 0;

  constructor() {
    const set = (callback: () => void, delay: number) => {
      this.waiting.set(++this.#lastId, [callback, delay]);
      return this.#lastId;
    };
    globalThis.setTimeout = set as unknown as typeof setTimeout;
    globalThis.clearTimeout = (id) => void this.waiting.delete(id as number);
  }

  /** Lets the one timer fire. */
  fire(): void {
    assertEquals(this.waiting.size, 1);
    const [[id, [callback]]] = this.waiting as unknown as [
      [number, [() => void, number]],
    ];
    this.waiting.delete(id);
    callback();
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#set;
    globalThis.clearTimeout = this.#clear;
  }
}

class Bench {
  readonly sent: unknown[] = [];
  readonly readiness: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly exit: PromiseWithResolvers<RunnerExit> = Promise.withResolvers();
  readonly life: Life;
  kills = 0;
  causes: RunnerExitError[] = [];

  constructor() {
    const runner = {
      kind: "process",
      ready: this.readiness.promise,
      exited: this.exit.promise,
      kill: () => {
        this.kills++;
        this.exit.resolve({ code: -9, reason: "terminated" });
      },
    };
    this.life = new Life(runner as unknown as Runner, {
      send: (message) => this.sent.push(message),
      ended: (cause) => this.causes.push(cause),
      commandTimeout: 0,
      othersStay: true,
    });
  }

  async start(): Promise<void> {
    this.readiness.resolve();
    await this.life.ready;
  }
}

Deno.test("Life ends a runner that does not start", async () => {
  using timers = new Timers();
  const { life, exit, causes, kills } = timed(new Bench(), timers);
  await assertRejects(() => life.ready, RunnerExitError, "did not start");
  assertEquals([life.state, kills, causes.length], ["ended", 1, 1]);
  await exit.promise;
});

function timed(bench: Bench, timers: Timers): Bench {
  timers.fire();
  return bench;
}

Deno.test("Life ends a runner that does not resume, and is not ready then", async () => {
  using timers = new Timers();
  const bench = new Bench();
  void bench.life.lead("serve");
  bench.readiness.resolve();
  await bench.readiness.promise;
  assertEquals(bench.sent, [["resume"]]);
  timers.fire();
  await assertRejects(() => bench.life.ready, RunnerExitError, "did not serve");
  assertEquals([bench.life.state, bench.kills], ["ended", 1]);
});

Deno.test("Life ends a runner that does not pause", async () => {
  using timers = new Timers();
  const bench = new Bench();
  await bench.start();
  void bench.life.lead("serve");
  bench.life.acknowledge();
  assertEquals(bench.life.state, "serving");
  const paused = bench.life.lead("pause");
  assertEquals(bench.sent, [["resume"], ["pause"]]);
  timers.fire();
  await paused;
  assertEquals(bench.life.state, "ended");
});

Deno.test("Life ends a runner that does not close", async () => {
  using timers = new Timers();
  const bench = new Bench();
  await bench.start();
  const closed = bench.life.close(100);
  assertEquals(bench.life.state, "draining");
  timers.fire();
  await closed;
  assertEquals(bench.kills, 1);
});

Deno.test("Life ends a runner that does not leave", async () => {
  using timers = new Timers();
  const bench = new Bench();
  await bench.start();
  const closed = bench.life.close(100);
  bench.life.acknowledge();
  bench.life.closed();
  timers.fire();
  await closed;
  assertEquals(bench.kills, 1);
});

Deno.test("Life closes at once a runner that has not started", async () => {
  using timers = new Timers();
  const bench = new Bench();
  await bench.life.close(10_000);
  assertEquals([bench.life.state, bench.kills], ["ended", 1]);
  assertEquals(timers.waiting.size, 0);
});

Deno.test("Life sends one command at a time, and only what is still wanted", async () => {
  using timers = new Timers();
  const bench = new Bench();
  await bench.start();
  const { life, sent } = bench;
  void life.lead("serve");
  void life.lead("pause");
  void life.lead("serve");
  assertEquals(sent, [["resume"]]);
  life.acknowledge();
  assertEquals([life.state, sent.length], ["serving", 1]);
  void life.lead("pause");
  const left = life.lead("leave");
  life.acknowledge();
  assertEquals(sent, [["resume"], ["pause"], ["leave", true]]);
  life.acknowledge();
  await left;
  assertEquals(timers.waiting.size, 0);
});

Deno.test("Life closes after the command that is under way", async () => {
  using _timers = new Timers();
  const bench = new Bench();
  await bench.start();
  void bench.life.lead("serve");
  const closed = bench.life.close(100);
  assertEquals(bench.sent.length, 1);
  bench.life.acknowledge();
  assertEquals((bench.sent.at(-1) as unknown[])[0], "close");
  bench.life.acknowledge();
  bench.life.closed();
  bench.exit.resolve({ code: 0, reason: "returned" });
  await closed;
});

Deno.test("Life is settled when one that listens takes no more, though it has requests", async () => {
  using _timers = new Timers();
  const bench = new Bench();
  const { life, exit } = bench;
  await bench.start();
  void life.lead("serve");
  life.acknowledge();
  void life.close(100);
  let isSettled = false;
  const settled = life.settled().then(() => isSettled = true);
  await Promise.resolve();
  assertEquals(isSettled, false);
  life.acknowledge();
  await settled;
  assertEquals(life.state, "draining");
  assertThrows(() => life.acknowledge(), TypeError, "out of order");
  life.closed();
  assertThrows(() => life.acknowledge(), TypeError, "out of order");
  exit.resolve({ code: 0, reason: "returned" });
});

Deno.test("Life is settled at once when one that does not listen closes", async () => {
  using _timers = new Timers();
  const bench = new Bench();
  await bench.start();
  const closed = bench.life.close(100);
  await bench.life.settled();
  assertEquals(bench.life.state, "draining");
  bench.exit.resolve({ code: 0, reason: "returned" });
  await closed;
});
