import { assert, assertEquals } from "@std/assert";
import {
  expectChild,
  forgetChild,
  watchChild,
} from "../../workers/runner/rendezvous.ts";
import { within } from "../support/waiting.ts";

/** Where children come in over TCP, for lack of other permissions. */
const permissions = { net: true } as const;

async function isClosed(conn: Deno.Conn): Promise<boolean> {
  return await conn.read(new Uint8Array(1)).catch(() => null) === null;
}

Deno.test(
  "expectChild() lets the first of too many strangers go, and the child in",
  {
    permissions,
  },
  async () => {
    const expected = expectChild();
    const address = expected.connect as Deno.ConnectOptions;
    const strangers: Deno.Conn[] = [];
    for (let count = 0; count <= 64; count++) {
      strangers.push(await Deno.connect(address));
    }
    assert(await isClosed(strangers[0]!));
    using child = await Deno.connect(address);
    await child.write(new TextEncoder().encode(expected.secret));
    const conn = await expected.conn;
    assert(conn !== null);
    conn.close();
    // With the last child that was expected, all strangers go
    for (const stranger of strangers) {
      assert(await isClosed(stranger));
      stranger.close();
    }
  },
);

Deno.test("expectChild() gives a stranger a limited time to say its secret", {
  permissions,
}, async () => {
  const timers: (() => void)[] = [];
  const { setTimeout } = globalThis;
  globalThis.setTimeout = ((callback: () => void) => {
    timers.push(callback);
    return 0;
  }) as unknown as typeof setTimeout;
  try {
    const expected = expectChild();
    using stranger = await Deno.connect(
      expected.connect as Deno.ConnectOptions,
    );
    await stranger.write(new TextEncoder().encode(expected.secret.slice(1)));
    while (timers.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    timers[0]!();
    timers[1]!();
    assert(await isClosed(stranger));
    expected.cancel();
    assertEquals(await expected.conn, null);
  } finally {
    globalThis.setTimeout = setTimeout;
  }
});

const CHILDREN = `onmessage = async ({ data: [done, connect, secrets] }) => {
  const children = [];
  for (const secret of secrets) {
    const child = await Deno.connect(connect);
    await child.write(new TextEncoder().encode(secret));
    children.push(child);
  }
  Atomics.store(done, 0, 1);
  Atomics.notify(done, 0);
  await Promise.all(children.map((child) => child.read(new Uint8Array(1))));
  self.close();
};`;

Deno.test("expectChild() lets in the children that come while the program is busy, however many", async () => {
  const expected = Array.from({ length: 100 }, () => expectChild());
  const done = new Int32Array(new SharedArrayBuffer(4));
  const url = `data:text/javascript,${encodeURIComponent(CHILDREN)}`;
  const worker = new Worker(url, { type: "module" });
  const secrets = expected.map(({ secret }) => secret);
  worker.postMessage([done, expected[0]!.connect, secrets]);
  Atomics.wait(done, 0, 0);
  for (const { conn } of expected) {
    (await within("a child", conn))!.close();
  }
  worker.terminate();
});

Deno.test("watchChild() starts the guard that could not be started for the child before", async () => {
  const { Command } = Deno;
  let calls = 0;
  let isFull = true;
  Deno.Command = class extends Command {
    constructor(...args: ConstructorParameters<typeof Command>) {
      calls++;
      if (isFull) throw new Error("Too many open files");
      super(...args);
    }
  };
  const pids = [2 ** 30, 2 ** 30 + 1, 2 ** 30 + 2];
  try {
    watchChild(pids[0]!, null);
    isFull = false;
    calls = 0;
    for (const pid of pids.slice(1)) watchChild(pid, null);
    assertEquals(calls, 1);
    for (const pid of pids) await forgetChild(pid);
  } finally {
    Deno.Command = Command;
  }
});
