/** A server and its replicas under a scheduler with a seed. */

import { assertEquals, assertRejects } from "@std/assert";
import { simulate } from "./simulate.ts";
import { World } from "./_world.ts";

/** More are for `deno task simulate`. */
const SEEDS = 100;
const SEEDS_PER_TEST = 50;

for (let first = 1; first < SEEDS; first += SEEDS_PER_TEST) {
  const last = first + SEEDS_PER_TEST - 1;
  Deno.test(`A server and its replicas lose nothing and wait for nothing in the courses ${first} to ${last}`, async () => {
    for (let seed = first; seed <= last; seed++) await simulate(seed);
  });
}

Deno.test("A seed takes the same course each time", async () => {
  for (const seed of [7, 31, 59]) {
    assertEquals(await simulate(seed), await simulate(seed));
  }
});

Deno.test("World ends a run in which something waits for ever", async () => {
  const world = new World(1);
  await assertRejects(
    () => world.run(() => new Promise(() => {})),
    Error,
    "something waits",
  );
});

Deno.test("World gives its timers back to the isolate", async () => {
  const { setTimeout, setImmediate } = globalThis;
  const world = new World(1);
  await world.run(() => world.sleep(1e9));
  assertEquals(world.now, 1e9);
  assertEquals(globalThis.setTimeout, setTimeout);
  assertEquals(globalThis.setImmediate, setImmediate);
});
