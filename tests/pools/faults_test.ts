import { assertEquals, assertLess } from "@std/assert";
import { main } from "../../workers/pool/_main.ts";
import type { RunnerPort } from "../../workers/runner/runner.ts";
import { testPools } from "./_pools.ts";
import * as tasks from "./tasks.ts";

Deno.test("a pool's worker forgets under steady load the tasks that it has done", async () => {
  const gates: PromiseWithResolvers<void>[] = [];
  const given: WeakRef<object>[] = [];
  const port: RunnerPort = {
    kind: "process",
    backlog: 0,
    onmessage: null,
    post: () => {},
    flushed: () => Promise.resolve(),
    sendNow: () => {},
    close: () => {},
  };
  function wait(value: object, id: number): Promise<void> {
    given.push(new WeakRef(value));
    return gates[id]!.promise;
  }
  const start = { module: "", lastIdent: null, taskSlots: null };
  void main(port, [{ wait }], {
    ...start,
    process: { name: "MainProcess", daemon: false },
    concurrency: 1,
    initializer: null,
  });
  function post(id: number): void {
    gates.push(Promise.withResolvers());
    port.onmessage!([id, "wait", [{}, id], 0]);
  }
  post(0);
  post(1);
  // There is always one that it has not begun with.
  for (let id = 2; id < 1_000; id++) {
    post(id);
    gates[id - 2]!.resolve();
    await new Promise((resolve) => setTimeout(resolve));
  }
  tasks.collectGarbage();
  const kept = given.filter((value) => value.deref() !== undefined);
  gates.at(-2)!.resolve();
  gates.at(-1)!.resolve();
  assertLess(kept.length, 100);
  assertEquals(given.length, 999);
});

testPools(
  "waits for what was submitted when it is disposed of",
  async (make) => {
    const results: number[] = [];
    {
      await using pool = make({ workers: 1 });
      for (const number of [1, 2, 3]) {
        pool.submit(tasks.addLater, number, 0)
          .then((result) => results.push(result));
      }
    }
    assertEquals(results, [1, 2, 3]);
  },
);
