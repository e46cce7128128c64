import { assert, assertEquals, assertFalse, assertRejects } from "@std/assert";
import { ThreadEvent } from "../../workers/locks/thread_event.ts";
import { eventually, testTeams, waiters } from "./_teams.ts";

testTeams(
  "ThreadEvent: set() wakes five waiters, and again after clear()",
  5,
  async (team) => {
    const event = new ThreadEvent();
    for (let time = 0; time < 2; time++) {
      const all = team.all("waitForEvent", event);
      await eventually(() => waiters(event) === 5);
      assertFalse(event.isSet());
      event.set();
      assertEquals(await all, Array(5).fill(true));
      assertEquals(await team.all("waitForEvent", event), Array(5).fill(true));
      event.clear();
      assertFalse(event.isSet());
    }
  },
);

testTeams(
  "ThreadEvent: set() and clear() at once wake all who wait",
  5,
  async (team) => {
    const event = new ThreadEvent();
    const all = team.all("waitForEvent", event);
    await eventually(() => waiters(event) === 5);
    event.set();
    event.clear();
    assertEquals(await all, Array(5).fill(true));
    assertFalse(event.isSet());
  },
);

testTeams("ThreadEvent: a time-out returns false", 1, async (team) => {
  const event = new ThreadEvent();
  assertFalse(await team.run(0, "waitForEvent", event, { timeout: 20 }));
  assertFalse(await team.run(0, "waitForEvent", event, { timeout: 0 }));
  assertEquals(waiters(event), 0);
});

Deno.test("ThreadEvent: set() twice and clear() twice are as once", async () => {
  const event = new ThreadEvent();
  event.set();
  event.set();
  assert(await event.wait());
  event.clear();
  event.clear();
  assertFalse(event.waitSync({ timeout: 0 }));
});

Deno.test("ThreadEvent: an abort rejects with its reason", async () => {
  const event = new ThreadEvent();
  const controller = new AbortController();
  const wait = event.wait({ signal: controller.signal });
  controller.abort(new Error("Enough"));
  await assertRejects(() => wait, Error, "Enough");
  await assertRejects(() => event.wait({ timeout: -1 }), RangeError);
});
