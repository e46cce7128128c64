/** What many locks cost, and what many waiters find. */
import { assert, assertEquals, assertLess } from "@std/assert";
import { Barrier } from "../../workers/locks/barrier.ts";
import { Lock } from "../../workers/locks/lock.ts";
import { Semaphore } from "../../workers/locks/semaphore.ts";
import { ThreadEvent } from "../../workers/locks/thread_event.ts";
import { eventually, testBothKinds, waiters } from "./_teams.ts";

/** The process would be aborted where there are too many. */
async function make(kind: string, file: string, count: number): Promise<void> {
  const url = new URL(`../../workers/${file}.ts`, import.meta.url).href;
  const code = `
    import { ${kind} } from ${JSON.stringify(url)};
    const mappings = () =>
      Deno.readTextFileSync("/proc/self/maps").split("\\n").length;
    const before = Deno.build.os === "linux" ? mappings() : 0;
    const all = Array.from({ length: ${count} }, () => new ${kind}());
    const after = Deno.build.os === "linux" ? mappings() : 0;
    console.log(all.length, after - before);
  `;
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      `data:text/javascript,${encodeURIComponent(code)}`,
    ],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  const [made, mappings] = new TextDecoder().decode(stdout).split(" ");
  assertEquals(Number(made), count);
  assertLess(Number(mappings), count / 10);
}

Deno.test("Lock can be had 100,000 times", async () => {
  await make("Lock", "locks/lock", 100_000);
});

Deno.test("SharedQueue can be had 20,000 times", async () => {
  await make("SharedQueue", "queue/shared_queue", 20_000);
});

Deno.test("Lock serves more waiters than it has slots, in the order of their coming", async () => {
  const locks = [new Lock(), new Lock()];
  const orders: number[][] = [[], []];
  for (const lock of locks) lock.acquireSync();
  const all = Array.from({ length: 2_000 }, async (_, index) => {
    const lock = locks[index % 2]!;
    await lock.acquire();
    orders[index % 2]!.push(index);
    lock.release();
  });
  assertEquals(locks.map((lock) => waiters(lock)), [1_000, 1_000]);
  for (const lock of locks) lock.release();
  await Promise.all(all);
  for (const [at, order] of orders.entries()) {
    assertEquals(order, Array.from({ length: 1_000 }, (_, i) => 2 * i + at));
  }
  assertEquals(locks.map((lock) => waiters(lock)), [0, 0]);
});

Deno.test("Semaphore passes over the many of its waiters that gave up", async () => {
  const semaphore = new Semaphore(0);
  const controller = new AbortController();
  const all = Array.from(
    { length: 500 },
    (_, index) =>
      semaphore.acquire(index % 5 === 0 ? {} : { signal: controller.signal }),
  );
  const settled = Promise.allSettled(all);
  controller.abort(new Error("Enough"));
  await eventually(() => waiters(semaphore) === 100);
  semaphore.release(100);
  const kept = (await settled).filter(({ status }) => status === "fulfilled");
  assertEquals(kept.length, 100);
  assertEquals([semaphore.value, waiters(semaphore)], [0, 0]);
});

testBothKinds(
  "ThreadEvent wakes more waiters than it has slots, in other threads",
  2,
  async (team, sync) => {
    const event = new ThreadEvent();
    const each = sync ? 1 : 100;
    const all = [0, 1].flatMap((member) =>
      Array.from(
        { length: each },
        () => team.run(member, "waitForEvent", event),
      )
    );
    const own = Array.from({ length: 50 }, () => event.wait());
    await eventually(() => waiters(event) === 2 * each + 50);
    event.set();
    const results = await Promise.all([...all, ...own]);
    assert(results.every((result) => result));
    assertEquals(waiters(event), 0);
  },
);

Deno.test("Barrier lets 1,000 tasks pass together, three times", async () => {
  const barrier = new Barrier(1_000);
  for (let round = 0; round < 3; round++) {
    const indexes = await Promise.all(
      Array.from({ length: 1_000 }, () => barrier.wait()),
    );
    assertEquals(indexes, Array.from({ length: 1_000 }, (_, index) => index));
  }
});
