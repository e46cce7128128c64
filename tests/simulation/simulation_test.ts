/** A server and its replicas under a scheduler with a seed. */

import { assertEquals, assertRejects } from "@std/assert";
import { simulate } from "./simulate.ts";
import { World } from "./_world.ts";

/** Others than last time are for `deno task simulate`. */
const SEEDS = 500;

Deno.test(`A server and its replicas lose nothing and wait for nothing in ${SEEDS} courses of events`, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) await simulate(seed);
});

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
