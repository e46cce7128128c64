import {
  assert,
  assertEquals,
  assertLess,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { RemoteError } from "../../workers/base/errors.ts";
import { testPool, testPools } from "./_pools.ts";
import * as tasks from "./tasks.ts";
import { until } from "../support/waiting.ts";

function numbers(length: number): number[] {
  return Array.from({ length }, (_, index) => index);
}

const squares = (length: number) => numbers(length).map((x) => x * x);

testPools(
  "map() gives the results in order, awaited or one by one",
  async (make) => {
    await using pool = make();
    const all: number[] = await pool.map(tasks.square, numbers(100));
    assertEquals(all, squares(100));
    const some: number[] = [];
    for await (const result of pool.map(tasks.square, new Set(numbers(100)))) {
      some.push(result);
    }
    assertEquals(some, squares(100));
    assertEquals(await pool.map<number>("square", []), []);
    assertEquals(await pool.map(tasks.giveBack, "ab"), [["a"], ["b"]]);
  },
);

testPools(
  "map() keeps the order of tasks that take their time",
  async (make) => {
    await using pool = make();
    const times = [30, 0, 10, 0, 5, 0];
    assertEquals(await pool.map(tasks.nap, times), times);
  },
);

testPools("map() gives items to workers in chunks", async (make) => {
  await using pool = make();
  for (const chunkSize of [1, 2, 7, 100, 1_000]) {
    const { completed } = pool.stats();
    assertEquals(
      await pool.map(tasks.square, numbers(100), { chunkSize }),
      squares(100),
    );
    const chunks = pool.stats().completed - completed;
    assertEquals(chunks, Math.ceil(100 / chunkSize));
  }
});

testPools("map() reads no more items than are under way", async (make) => {
  await using pool = make();
  let read = 0;
  let taken = 0;
  let left = false;
  async function* endless() {
    try {
      while (true) {
        assert(read - taken <= 6 + 2, `${read} read, ${taken} taken`);
        yield read++;
        if (read % 3 === 0) await new Promise((resolve) => setTimeout(resolve));
      }
    } finally {
      left = true;
    }
  }
  const results = pool.map(tasks.square, endless(), {
    chunkSize: 2,
    concurrency: 3,
  });
  for await (const result of results) {
    assertEquals(result, taken * taken);
    if (++taken === 50) break;
  }
  assertLess(read, 50 + 8);
  await until(() => left, "the source to be told");
  assertEquals(await pool.submit(tasks.add, 1, 2), 3);
});

testPools(
  "map() gives a result without waiting for the next item",
  async (make) => {
    await using pool = make();
    const { promise, resolve } = Promise.withResolvers<void>();
    async function* slow() {
      yield 2;
      await promise;
      yield 3;
    }
    const results = pool.map(tasks.square, slow())[Symbol.asyncIterator]();
    assertEquals(await results.next(), { done: false, value: 4 });
    resolve();
    assertEquals(await results.next(), { done: false, value: 9 });
    assertEquals((await results.next()).done, true);
  },
);

testPools("map() waits where maxQueue would reject", async (make) => {
  await using pool = make({ workers: 1, maxQueue: 3 });
  assertEquals(
    await pool.map(tasks.square, numbers(200), { concurrency: 50 }),
    squares(200),
  );
});

testPools(
  "map() waits where maxQueue would reject, also if it fills up while an item comes",
  async (make) => {
    await using pool = make({ workers: 1, maxQueue: 1 });
    await pool.submit(tasks.add, 1, 2);
    const others: Promise<unknown>[] = [];
    async function* source() {
      for (const number of numbers(6)) {
        while (!pool.needsDrain) others.push(pool.submit(tasks.nap, 1));
        yield await Promise.resolve(number);
      }
    }
    for (const chunkSize of [1, 4]) {
      const results = pool.map(tasks.square, source(), { chunkSize });
      assertEquals(await results, squares(6));
    }
    await Promise.all(others);
  },
);

testPools(
  "map() throws the first error once what runs has ended",
  async (make) => {
    await using pool = make();
    const items = numbers(1_000).map((number) => 2 * number);
    items[40] = 41;
    for (const chunkSize of [1, 5]) {
      const taken: number[] = [];
      const before = pool.stats().completed;
      const error = await assertRejects(async () => {
        const results = pool.map(tasks.failOdd, items, { chunkSize });
        for await (const result of results) taken.push(result);
      }, RemoteError);
      assertEquals(error.message, "No 41");
      assertEquals(taken, items.slice(0, taken.length));
      assert(taken.length <= 40);
      const { running, queued, completed } = pool.stats();
      assertEquals([running, queued], [0, 0]);
      assertLess(completed - before, 200);
    }
    assertEquals(await pool.submit(tasks.add, 1, 2), 3);
  },
);

testPools(
  "map() gives the results before the failing item, however slow the loop is",
  async (make) => {
    await using pool = make();
    const items = numbers(60).map((number) => 2 * number);
    items[20] = 41;
    items[50] = 43;
    for (const chunkSize of [1, 7]) {
      for (const slow of [false, true]) {
        const taken: number[] = [];
        const error = await assertRejects(async () => {
          const results = pool.map(tasks.failOdd, items, { chunkSize });
          for await (const result of results) {
            taken.push(result);
            if (slow) await new Promise((resolve) => setTimeout(resolve, 1));
          }
        }, RemoteError);
        assertEquals(error.message, "No 41");
        assertEquals(taken, items.slice(0, 20));
      }
    }
  },
);

testPools(
  "map() waits for earlier items when a later one fails first",
  async (make) => {
    await using pool = make();
    const file = await Deno.makeTempFile();
    const taken: string[] = [];
    const ended = assertRejects(
      async () => {
        const items = [{ file }, { after: file }, { file: "none" }];
        const results = pool.map(tasks.awaitEndOrFail, items);
        for await (const result of results) taken.push(result);
      },
      RemoteError,
      "No file",
    );
    await until(() => pool.stats().failed === 1, "the error");
    await Deno.remove(file);
    await ended;
    assertEquals(taken, [file]);
    assertEquals(pool.stats().running, 0);
  },
);

testPools(
  "map() gives the results of all items before its source fails",
  async (make) => {
    await using pool = make();
    function* failing() {
      yield* numbers(10);
      throw new RangeError("No more");
    }
    for (const ordered of [true, false]) {
      for (const chunkSize of [1, 4]) {
        const taken: number[] = [];
        await assertRejects(
          async () => {
            const options = { ordered, chunkSize };
            for await (
              const result of pool.map(tasks.square, failing(), options)
            ) taken.push(result);
          },
          RangeError,
          "No more",
        );
        assertEquals(taken.toSorted((a, b) => a - b), squares(10));
      }
    }
  },
);

testPools(
  "map() without order gives what has finished before the error",
  async (make) => {
    await using pool = make();
    const file = await Deno.makeTempFile();
    const taken: string[] = [];
    const options = { ordered: false, concurrency: 2 };
    const none = { file: "none" };
    const items = [{ file }, { after: file }, none, none];
    const ended = assertRejects(
      async () => {
        const results = pool.map(tasks.awaitEndOrFail, items, options);
        for await (const result of results) taken.push(result);
      },
      RemoteError,
      "No file",
    );
    await until(() => pool.stats().failed === 1, "the error");
    await Deno.remove(file);
    await ended;
    assertEquals(taken, [file]);
  },
);

testPools("map().settled() gives errors as results", async (make, kind) => {
  await using pool = make();
  for (const chunkSize of [1, 3]) {
    const results = await pool.map(tasks.failOdd, numbers(8), { chunkSize })
      .settled();
    assertEquals(
      results.map((result) =>
        result.status === "fulfilled" ? result.value : result.reason.message
      ),
      [0, "No 1", 2, "No 3", 4, "No 5", 6, "No 7"],
    );
    const dead = await pool.map("exit", [7, 7], { chunkSize }).settled();
    for (const result of dead) {
      assert(result.status === "rejected");
      assertStringIncludes(result.reason.message, `the ${kind} that ran it`);
    }
  }
  const sums = pool.starmap(tasks.add, [[1, 2]], { ordered: false }).settled();
  for await (const sum of sums) {
    assertEquals(sum, { status: "fulfilled", value: 3 });
  }
});

testPools(
  "map() fails the items alone whose results can't be returned, whatever the size of a task",
  async (make) => {
    await using pool = make();
    const items = ["1", "a function", "2", "throw", "a symbol", "3"];
    const expected = [
      "1",
      "Cannot return the result",
      "2",
      "No throw",
      "Cannot return the result",
      "3",
    ];
    for (const chunkSize of [1, 2, 3, 6]) {
      const results = await pool.map(tasks.giveOddOrThrow, items, { chunkSize })
        .settled();
      const texts = results.map((result) =>
        result.status === "fulfilled" ? result.value : result.reason.message
      );
      for (const [index, text] of expected.entries()) {
        assertStringIncludes(texts[index], text);
      }
      const taken: unknown[] = [];
      await assertRejects(
        async () => {
          const results = pool.map(tasks.giveOddOrThrow, items, { chunkSize });
          for await (const result of results) taken.push(result);
        },
        RemoteError,
        "Cannot return the result",
      );
      assertEquals(taken, ["1"]);
    }
  },
);

testPools("map() names an item that can't be cloned", async (make) => {
  await using pool = make();
  await assertRejects(
    async () => await pool.map<unknown>("giveBack", [1, () => {}]),
    TypeError,
    'argument 0 of "giveBack"',
  );
});

testPools(
  "map() fails the items alone that can't be cloned, whatever the size of a task",
  async (make) => {
    await using pool = make();
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    const deep = { deep: () => {} };
    const items = [1, () => {}, 2, deep, Symbol("odd"), proxy, 3];
    const expected = [
      ["1"],
      "cloned",
      ["2"],
      "cloned",
      "cloned",
      "revoked",
      ["3"],
    ];
    const lists = items.map((item) => [item, AbortSignal.abort(item)]);
    for (const chunkSize of [1, 2, 3, 7]) {
      const results = [
        ...await pool.map<unknown>("giveTexts", items, { chunkSize }).settled(),
        ...await pool.starmap<unknown>("giveTexts", lists, { chunkSize })
          .settled(),
      ];
      for (const [index, result] of results.entries()) {
        const text = expected[index % items.length]!;
        if (typeof text === "string") {
          assert(result.status === "rejected");
          assertStringIncludes(result.reason.message, "Cannot pass");
          assertStringIncludes(result.reason.message, text);
        } else {
          assert(result.status === "fulfilled");
          assertEquals((result.value as string[]).slice(0, 1), text);
        }
      }
      const taken: unknown[] = [];
      await assertRejects(
        async () => {
          const some = pool.map<unknown>("giveTexts", items.slice(2), {
            chunkSize,
          });
          for await (const result of some) taken.push(result);
        },
        TypeError,
        "Cannot pass",
      );
      assertEquals(taken, [["2"]]);
    }
  },
);

testPools(
  "map() ends at the first item that can't be cloned, whatever follows it",
  async (make) => {
    await using pool = make();
    const odd = { deep: () => {} };
    const signal = AbortSignal.abort();
    for (
      const items of [
        [signal, odd, Symbol("refused before")],
        [signal, odd, signal, signal],
        [signal, () => {}, signal, odd, signal],
      ]
    ) {
      const taken: unknown[] = [];
      await assertRejects(
        async () => {
          const some = pool.map<unknown>("isAborted", items, { chunkSize: 5 });
          for await (const result of some) taken.push(result);
        },
        TypeError,
        items[1] === odd ? "could not be cloned" : "a function",
      );
      assertEquals(taken, [true]);
    }
    assertEquals(pool.stats().restarts, 0);
  },
);

testPools(
  "map() is ended by its signal, before it begins and under way",
  async (make) => {
    await using pool = make();
    const reason = new Error("Enough");
    const aborted = AbortSignal.abort(reason);
    let error = await assertRejects(async () =>
      await pool.map(tasks.square, numbers(5), { signal: aborted })
    );
    assertEquals(error, reason);
    const controller = new AbortController();
    const naps = pool.map(tasks.napAndTellPid, numbers(1_000).map(() => 5), {
      signal: controller.signal,
      concurrency: 100,
    });
    let count = 0;
    error = await assertRejects(async () => {
      for await (const _ of naps) {
        if (++count === 3) controller.abort(reason);
      }
    });
    assertEquals(error, reason);
    assertLess(count, 20);
    const { running, queued, cancelled } = pool.stats();
    assertEquals([running, queued], [0, 0]);
    assert(cancelled > 0);
  },
);

testPools(
  "map() is ended by its signal while the items keep it waiting",
  async (make) => {
    await using pool = make();
    const controller = new AbortController();
    async function* stuck() {
      yield 2;
      await new Promise(() => {});
    }
    await assertRejects(
      async () => {
        const options = { signal: controller.signal };
        for await (const result of pool.map(tasks.square, stuck(), options)) {
          assertEquals(result, 4);
          controller.abort(new Error("Enough"));
        }
      },
      Error,
      "Enough",
    );
  },
);

testPool(
  "ProcessPool",
  "map() kills what runs when its signal says so, if asked",
  async (make) => {
    await using pool = make();
    const controller = new AbortController();
    const endless = pool.map<never>("forever", [1, 2, 3], {
      signal: controller.signal,
      kill: true,
    });
    const ended = assertRejects(async () => await endless, Error, "Enough");
    while (pool.stats().running < 2) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    controller.abort(new Error("Enough"));
    await ended;
    assertEquals(await pool.submit(tasks.add, 1, 2), 3);
  },
);

testPools("map() refuses what can't work at once", async (make, kind) => {
  await using pool = make();
  for (const bad of [0, -1, NaN, 1.5]) {
    assertThrows(
      () => pool.map(tasks.square, [], { chunkSize: bad }),
      RangeError,
      '"chunkSize"',
    );
    assertThrows(
      () => pool.map(tasks.square, [], { concurrency: bad }),
      RangeError,
      '"concurrency"',
    );
  }
  for (const items of [null, 5, {}]) {
    assertThrows(() => pool.map(tasks.square, items as never), TypeError);
  }
  assertThrows(
    () => pool.map(tasks.square, [], { signal: {} as AbortSignal }),
    TypeError,
    '"signal"',
  );
  if (kind === "thread") {
    assertThrows(() => pool.map(tasks.square, [], { kill: true }), TypeError);
  }
});

testPools("map() gives results as they finish, if asked", async (make) => {
  await using pool = make();
  const options = { ordered: false };
  const file = await Deno.makeTempFile();
  const results: unknown[] = [];
  const items = [file, "a", "b", "c"];
  for await (const item of pool.map(tasks.awaitEnd, items, options)) {
    // The first waits until the others are taken.
    if (results.push(item) === 3) await Deno.remove(file);
  }
  assertEquals(results.at(-1), file);
  assertEquals(results.slice(0, 3).toSorted(), ["a", "b", "c"]);
  const all = await pool.map(tasks.square, numbers(200), {
    ...options,
    chunkSize: 3,
  });
  assertEquals(all.toSorted((a, b) => a - b), squares(200));
});

testPools(
  "map() without order reads no more items than are under way",
  async (make) => {
    await using pool = make();
    let read = 0;
    let taken = 0;
    function* endless() {
      while (true) {
        assert(read - taken <= 6 + 2, `${read} read, ${taken} taken`);
        yield read++;
      }
    }
    const options = { ordered: false, chunkSize: 2, concurrency: 3 };
    for await (const _ of pool.map(tasks.square, endless(), options)) {
      if (++taken === 50) break;
    }
    assertLess(read, 50 + 8);
  },
);

testPools("starmap() calls with many arguments", async (make) => {
  await using pool = make();
  const items = numbers(50).map((x): [number, number] => [x, 1]);
  const expected = numbers(50).map((x) => x + 1);
  for (const chunkSize of [1, 7]) {
    const sums: number[] = await pool.starmap(tasks.add, items, { chunkSize });
    assertEquals(sums, expected);
    const named = await pool.starmap<unknown[]>("giveBack", [[], [1, 2, 3]], {
      chunkSize,
    });
    assertEquals(named, [[], [1, 2, 3]]);
    await assertRejects(
      async () => await pool.starmap("add", [[1, 2], 5 as never]),
      TypeError,
      "arrays of arguments",
    );
  }
});

testPools(
  "map() and starmap() pass signals to the calls, whatever the size of a task",
  async (make) => {
    await using pool = make({ workers: 1 });
    const before = AbortSignal.abort("before");
    for (const chunkSize of [1, 2, 5]) {
      const controller = new AbortController();
      const { signal } = controller;
      const reasons = pool.map(tasks.reasonOf, [before, signal, signal], {
        chunkSize,
      })[Symbol.asyncIterator]();
      const first = reasons.next();
      if (chunkSize === 1) await first;
      controller.abort("meanwhile");
      assertEquals((await first).value, "before");
      assertEquals(await Array.fromAsync(reasons), ["meanwhile", "meanwhile"]);
      const aborted = pool.starmap(
        tasks.areAborted,
        [[1, new AbortController().signal], [2, before], [3], [
          4,
          signal,
          before,
        ]],
        { chunkSize },
      );
      assertEquals(await aborted, [[1, false], [2, true], [3], [
        4,
        true,
        true,
      ]]);
    }
  },
);

testPools("map() closes its source whatever ends it", async (make) => {
  const pool = make();
  const closed: string[] = [];
  async function* source(name: string, item: unknown) {
    try {
      for (;;) yield item as number;
    } finally {
      closed.push(name);
    }
  }
  const ends = [
    () => pool.map(tasks.square, source("uncloneable", Symbol("item"))),
    () => pool.starmap(tasks.add, source("no array", 1) as never),
    () => pool.map(tasks.square, source("shut down", 1)),
  ];
  for (const [number, start] of ends.entries()) {
    const results = start()[Symbol.asyncIterator]();
    if (number === 2) {
      await results.next();
      await pool.shutdown();
    }
    await assertRejects(async () => {
      while (!(await results.next()).done);
    });
    await until(() => closed.length > number, "the end of the source");
  }
  assertEquals(closed, ["uncloneable", "no array", "shut down"]);
});
