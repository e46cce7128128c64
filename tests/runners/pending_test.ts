import { assertEquals, assertThrows } from "@std/assert";
import { ProtocolError } from "../../workers/line/dialect.ts";
import { PendingCalls } from "../../workers/line/pending.ts";

Deno.test("PendingCalls: each answer finds its call, once, while old ones wait and the table grows", () => {
  const calls = new PendingCalls<string>(2);
  const waiting = new Map<number, string>();
  let last = -1;
  for (let index = 0; index < 1_000; index++) {
    const call = `call ${index}`;
    const number = calls.add(call);
    assertEquals(number > last, true);
    last = number;
    waiting.set(number, call);
    // Of ten, nine are answered at once, and every hundredth never
    if (index % 10 === 9) {
      for (const [number, call] of [...waiting].slice(-9)) {
        assertEquals(calls.take(number), call);
        waiting.delete(number);
        assertThrows(() => calls.take(number), ProtocolError);
      }
    }
  }
  assertEquals(calls.size, waiting.size);
  assertEquals(new Map(calls), waiting);
  const [[oldest]] = waiting as unknown as [[number, string]];
  calls.replace(oldest, "another");
  assertEquals(calls.get(oldest), "another");
});

Deno.test("PendingCalls: what is no number of a call is refused", () => {
  const calls = new PendingCalls<string>();
  const number = calls.add("call");
  for (
    const other of [number + 1, -1, number + 0.5, NaN, 2 ** 32, `${number}`, {}]
  ) {
    assertThrows(() => calls.get(other as number), ProtocolError, "no call");
  }
  assertEquals(calls.get(number), "call");
});
