/** The time-out of readers and writers. */

import { assertEquals } from "@std/assert";
import { type Clock, IdleTimer } from "../../handlers/_internal.ts";

/** A clock whose timers fire late, when the test says so. */
class LateClock implements Clock {
  time = 0;
  #timers: [at: number, run: () => void][] = [];

  now(): number {
    return this.time;
  }

  after(ms: number, run: () => void): () => void {
    const timer: [number, () => void] = [this.time + ms, run];
    this.#timers.push(timer);
    return () => this.#timers = this.#timers.filter((one) => one !== timer);
  }

  /** Calls back the timers that are due, but none that they set. */
  fire(time: number): void {
    this.time = time;
    const due = this.#timers.filter(([at]) => at <= time);
    this.#timers = this.#timers.filter(([at]) => at > time);
    for (const [, run] of due) run();
  }
}

Deno.test("IdleTimer lets an operation settle before a late timer ends it", () => {
  const clock = new LateClock();
  let expired = 0;
  const timer = new IdleTimer(100, () => expired++, clock);
  timer.begin();
  clock.fire(60);
  timer.end();
  timer.begin();
  clock.fire(110); // the first operation's timer
  clock.fire(300); // after a stall, before the bytes that arrived in it
  timer.end();
  timer.begin();
  clock.fire(310);
  assertEquals(expired, 0);
  clock.fire(420);
  clock.fire(430);
  assertEquals(expired, 1);
  timer.stop();
});

Deno.test("IdleTimer lets an operation settle at every stall in a row", () => {
  const clock = new LateClock();
  let expired = 0;
  const timer = new IdleTimer(100, () => expired++, clock);
  for (let time = 150; time < 1_500; time += 150) {
    timer.begin();
    clock.fire(time);
    timer.end();
  }
  assertEquals(expired, 0);
  timer.stop();
});
