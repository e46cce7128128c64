import { assert, assertEquals } from "@std/assert";
import { expectChild } from "../../workers/runner/rendezvous.ts";

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
  globalThis.setTimeout = ((callback: () => void, delay: number) => {
    timers.push(callback);
    return setTimeout(() => {}, delay);
  }) as typeof setTimeout;
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
    assert(await isClosed(stranger));
    expected.cancel();
    assertEquals(await expected.conn, null);
  } finally {
    globalThis.setTimeout = setTimeout;
  }
});
