/** Threads that do everything at once, and are terminated at any moment. */
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { stop } from "../../workers/locks/_checkpoint.ts";
import { Condition } from "../../workers/locks/condition.ts";
import { Lock, RLock } from "../../workers/locks/lock.ts";
import { Semaphore } from "../../workers/locks/semaphore.ts";
import { ThreadEvent } from "../../workers/locks/thread_event.ts";
import { SharedQueue } from "../../workers/queue/shared_queue.ts";
import { type Arena, randomOf, WORD } from "./_chaos.ts";
import { eventually, sharedWords, Threads } from "./_teams.ts";

const THREADS = 4;
const DEATHS = 12;
const PERMITS = 2;
const PATIENCE = { timeout: 20_000 };

/** A thread at work, which can be ended for good. */
class Member {
  readonly done: Promise<void>;
  readonly #team: Threads;
  readonly #stopWords = sharedWords(1);

  constructor(sync: boolean, seed: number, arena: Arena) {
    this.#team = new Threads(1, sync);
    this.done = this.#run(seed, arena);
  }

  async terminate(): Promise<void> {
    stop(this.#stopWords);
    await this.#team.terminate(0);
  }

  async #run(seed: number, arena: Arena): Promise<void> {
    await this.#team.run(0, "becomeStoppable", this.#stopWords);
    await this.#team.run(0, "chaos", seed, arena);
  }
}

async function assertSound(arena: Arena): Promise<void> {
  const { lock, rlock, semaphore, condition, queue, words, received } = arena;
  assert(await lock.acquire(PATIENCE));
  assert(await rlock.acquire(PATIENCE));
  assert(await condition.acquire(PATIENCE));
  assertEquals(semaphore.value, PERMITS);
  assertLessOrEqual(words[WORD.mostInside]!, PERMITS);
  assertEquals(words[WORD.guarded], words[WORD.expected]);
  assertEquals(words[WORD.nested], words[WORD.expectedNested]);
  while (!queue.empty()) received[await queue.get(PATIENCE)]!++;
  await queue.put(0, PATIENCE);
  assert(received.every((times) => times <= 1), "An item came twice");
}

for (const seed of [1, 2, 3]) {
  Deno.test(`Whatever dies, all else goes on (seed ${seed})`, async () => {
    const arena: Arena = {
      lock: new Lock(),
      rlock: new RLock(),
      semaphore: new Semaphore(PERMITS),
      condition: new Condition({ lock: seed % 2 ? new Lock() : new RLock() }),
      event: new ThreadEvent(),
      queue: new SharedQueue<number>({ maxSize: 3 }),
      words: sharedWords(Object.keys(WORD).length),
      received: sharedWords(100_000),
    };
    const random = randomOf(seed);
    const make = (): Member =>
      new Member(random(2) === 0, random(2 ** 31), arena);
    const members = Array.from({ length: THREADS }, make);
    for (let death = 0; death < DEATHS; death++) {
      const before = Atomics.load(arena.words, WORD.steps);
      const steps = 50 + random(500);
      await eventually(() =>
        Atomics.load(arena.words, WORD.steps) - before > steps
      );
      const [dying] = members.splice(random(THREADS), 1, make());
      await dying!.terminate();
    }
    Atomics.store(arena.words, WORD.over, 1);
    await Promise.all(members.map(({ done }) => done));
    await assertSound(arena);
    await Promise.all(members.map((member) => member.terminate()));
  });
}
