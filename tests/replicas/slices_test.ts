/** What arrives is passed on in slices, so that the event loop turns. */

import { assert, assertEquals } from "@std/assert";
import { Slices } from "../../workers/relay/slices.ts";
import { block } from "../support/endless.ts";

/** Passes on `count` at once; each then computes for `ms`. */
async function passOn(count: number, ms: number): Promise<number[]> {
  const slices = new Slices();
  const order: number[] = [];
  const turns: number[] = [0];
  const { promise, resolve } = Promise.withResolvers<void>();
  const step = async (number: number) => {
    await undefined; // as a handler, after the slice
    block(ms);
    order.push(number);
    turns[turns.length - 1]!++;
    if (order.length === count) resolve();
  };
  for (let i = 0; i < count; i++) {
    if (slices.enter()) void step(i);
    else slices.wait(() => void step(i));
  }
  const timer = setInterval(() => {
    if (turns.at(-1)! > 0) turns.push(0);
  }, 0);
  await promise;
  clearInterval(timer);
  assertEquals(order, Array.from(order, (_, i) => i));
  assert(slices.isIdle);
  return turns.filter((turn) => turn > 0);
}

Deno.test("Slices passes on one after the other what computes for long", async () => {
  const turns = await passOn(12, 20);
  // The first ones are not known; a timer may see two turns as one
  assert(turns.length >= 6 && turns[0]! <= 6, turns.join());
});

Deno.test("Slices passes on many a turn of what is quick, and keeps their order", async () => {
  const turns = await passOn(400, 0);
  assert(turns.length < 100, turns.join());
});
