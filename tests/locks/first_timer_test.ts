/** Alone in its file: it must be the first to use a timer in its thread. */
import { assertEquals } from "@std/assert";
import { Condition } from "../../workers/locks/condition.ts";

Deno.test("Two who wait first in a thread, at the same time, leave no timer", async () => {
  // Timers are loaded at their first use, and other tasks run meanwhile.
  const condition = new Condition();
  let ready = false;
  async function wait(): Promise<boolean> {
    using _held = await condition.hold();
    return await condition.waitFor(() => ready);
  }
  const waited = wait();
  {
    using _held = await condition.hold();
    ready = true;
    condition.notify();
  }
  assertEquals(await waited, true);
});
