import { assertEquals } from "@std/assert";
import {
  endLiving,
  enterLiving,
  isLiving,
  livingRecord,
} from "../../workers/locks/_living.ts";
import { eventually, sharedWords, Threads } from "./_teams.ts";

Deno.test("who is entered while a thread is declared dead that had the place before lives on", async () => {
  using team = new Threads(1, true);
  for (let round = 0; round < 100; round++) {
    const id = enterLiving();
    const words = sharedWords(2);
    const dying = team.run(0, "dieAgain", livingRecord(0).words, id, words);
    await eventually(() => Atomics.load(words, 0) === 1);
    const entered = Array.from({ length: 4_000 }, enterLiving);
    Atomics.store(words, 1, 1);
    await dying;
    const dead = entered.filter((each) => !isLiving(each));
    for (const each of entered) endLiving(each);
    assertEquals(dead, []);
  }
});
