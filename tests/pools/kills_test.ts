import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStringIncludes,
} from "@std/assert";
import { RunnerExitError } from "../../workers/base/errors.ts";
import type { Pool } from "../../workers/pool/pool.ts";
import { testPool } from "./_pools.ts";
import * as tasks from "./tasks.ts";

const KILLS = Number(Deno.env.get("KILLS") ?? 12);
const SEED = 20_26;

/** The same numbers at every run. */
function random(seed: number): () => number {
  return () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return seed / 2 ** 31;
  };
}

/** Keeps a pool busy, and accounts for every task. */
class Load {
  settled = 0;
  lost = 0;
  #submitted = 0;
  #stopped = false;

  constructor(
    readonly pool: Pool,
    readonly next: (id: number) => Promise<unknown>,
  ) {}

  async run(underWay: number): Promise<void> {
    await Promise.all(Array.from({ length: underWay }, () => this.#submit()));
    assertEquals(this.settled, this.#submitted);
    const { completed, failed, running, queued } = this.pool.stats();
    assertEquals([running, queued], [0, 0]);
    assertEquals([completed, failed], [this.settled - this.lost, this.lost]);
  }

  stop(): void {
    this.#stopped = true;
  }

  async #submit(): Promise<void> {
    while (!this.#stopped) {
      const id = this.#submitted++;
      try {
        assertEquals(await this.next(id), id);
      } catch (error) {
        assertInstanceOf(error, RunnerExitError);
        assertStringIncludes(error.message, "that ran it");
        this.lost++;
      }
      this.settled++;
    }
  }
}

testPool(
  "ProcessPool",
  `accounts for every task once under ${KILLS} kills by SIGKILL`,
  async (make) => {
    await using pool = make();
    const draw = random(SEED);
    const seen = new Set<number>();
    const load = new Load(pool, async (id) => {
      const [signed, pid] = draw() < 0.5
        ? await pool.submit(tasks.sign, id)
        : await pool.submit(tasks.signLater, id);
      seen.add(pid);
      return signed;
    });
    const running = load.run(40);
    const killed = new Set<number>();
    while (killed.size < KILLS) {
      await new Promise((resolve) => setTimeout(resolve, draw() * 5));
      const victims = [...seen].filter((pid) => !killed.has(pid));
      const victim = victims[Math.floor(draw() * victims.length)];
      if (victim === undefined) continue;
      Deno.kill(victim, "SIGKILL");
      killed.add(victim);
    }
    load.stop();
    await running;
    assert(pool.stats().restarts >= KILLS - 2);
  },
);

testPool(
  "ThreadPool",
  `accounts for every task once under ${KILLS} threads that end themselves`,
  async (make) => {
    await using pool = make();
    const draw = random(SEED);
    let deadly = 0;
    const load = new Load(pool, (id) => {
      const number = draw();
      if (number < 0.02 && deadly < KILLS) {
        deadly++;
        return number < 0.01
          ? pool.submit<never>("closeSelf")
          : pool.submit<never>("exit", 1);
      }
      if (deadly === KILLS) load.stop();
      return number < 0.6
        ? pool.submit(tasks.add, id, 0)
        : pool.submit(tasks.addLater, id, 0);
    });
    await load.run(40);
    assertEquals(load.lost, KILLS);
    assert(pool.stats().restarts >= KILLS - 2);
  },
);
