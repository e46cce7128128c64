import { assertEquals } from "@std/assert";
import type { Outcome } from "./_mixed_clients.ts";
import { type Course, judge } from "./_mixed_judge.ts";

const MODE = "ThreadingUnixStreamServer relay";

function outcomeOf(client: number, more: Partial<Outcome>): Outcome {
  return {
    kind: "slowWriter",
    client,
    from: 10_000,
    spoke: 10_001,
    to: 10_500,
    result: "unbegun",
    isGood: true,
    ...more,
  };
}

function courseOf(more: Partial<Course>): Course {
  return { mode: MODE, reports: [], suspensions: [], deaths: [], ...more };
}

Deno.test("judge() leaves a lost client its report when others are refused", () => {
  const { row, failures } = judge([
    outcomeOf(1, { result: "refused", to: 10_001 }),
    outcomeOf(2, { result: "refused", to: 10_002 }),
    outcomeOf(3, { kind: "slowReader", result: "cut" }),
  ], {
    ...courseOf({ suspensions: [[9_000, 10_200]] }),
    reports: [{ client: 3, name: "RunnerExitError", at: 10_490 }],
  });

  assertEquals(failures, []);
  assertEquals([row.refused, row.reported], [2, 1]);
});

Deno.test("judge() finds the report of a packet whose client waited on", () => {
  const { row, failures } = judge(
    [outcomeOf(7, { kind: "packet", to: 20_010 })],
    courseOf({
      reports: [{ client: 7, name: "RunnerExitError", at: 10_001 }],
    }),
  );

  assertEquals(failures, []);
  assertEquals(row.reported, 1);
});

Deno.test("judge() takes no report of another client", () => {
  const { failures } = judge(
    [outcomeOf(7, {})],
    courseOf({
      reports: [{ client: 8, name: "RunnerExitError", at: 10_490 }],
    }),
  );

  assertEquals(failures.length, 1);
});

Deno.test("judge() excuses a client that spoke late no more, and one that was ended between requests", () => {
  const { row, failures } = judge([
    outcomeOf(1, { spoke: 10_400 }),
    outcomeOf(2, { kind: "long", result: "ended" }),
  ], courseOf({}));

  assertEquals(failures.length, 1);
  assertEquals(row.served, 1);
});
