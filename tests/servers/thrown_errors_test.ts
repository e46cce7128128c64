/** Errors of users' code: told once, contained, printed whole. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { EchoHandler, RequestHandler, TCPServer } from "../../mod.ts";
import {
  type Addressed,
  ALL,
  assertEchoes,
  type Client,
  collectErrors,
  dial,
  freePath,
  type Kind,
  messages,
  readToEnd,
  test,
  testEach,
} from "./_support.ts";
import { pause, until, within } from "../support/waiting.ts";

/** Where the next request throws. */
let armed: string | null = null;

function trip(point: string): void {
  if (armed === point) throw new RangeError(`thrown in ${point}`);
}

class Tripping extends EchoHandler {
  constructor(...args: ConstructorParameters<typeof EchoHandler>) {
    super(...args);
    trip("constructor");
  }

  override async setup(): Promise<void> {
    await super.setup();
    trip("setup");
  }

  override async handle(): Promise<void> {
    trip("handle");
    await super.handle();
  }

  override async finish(): Promise<void> {
    await super.finish();
    trip("finish");
  }
}

const HOOKS = [
  "verifyRequest",
  "processRequest",
  "finishRequest",
  "shutdownRequest",
  "closeRequest",
] as const;
const POINTS = ["constructor", "setup", "handle", "finish", ...HOOKS];

function openTripping(kind: Kind, synchronous: boolean) {
  const server = kind.open(Tripping);
  for (const hook of HOOKS) {
    const original = server[hook].bind(server) as (
      ...args: unknown[]
    ) => unknown;
    Object.assign(server, {
      [hook]: synchronous
        ? (...args: unknown[]) => {
          trip(hook);
          return original(...args);
        }
        : async (...args: unknown[]) => {
          await null;
          trip(hook);
          return await original(...args);
        },
    });
  }
  return server;
}

for (const point of POINTS) {
  testEach(
    ALL,
    `an error thrown in ${point}: told once, request closed, serving on`,
    async (kind) => {
      for (const synchronous of [true, false]) {
        await using server = openTripping(kind, synchronous);
        const errors = collectErrors(server);
        server.serveForever();
        armed = point;
        try {
          using client = await kind.connect(server);
          await client.send("x\n");
          await client.end().catch(() => {}); // closed before
          await until(() => errors.length > 0, "the error");
          if (kind.isStream) await assertEnds(client);
          await until(
            async () => (await server.stats()).open === 0,
            "the request's end",
          );
        } finally {
          armed = null;
        }
        assertEquals(messages(errors), [`thrown in ${point}`]);
        assertEquals((await server.stats()).errors, 1);
        await assertEchoes(kind, server);
      }
    },
  );
}

/** The end may come as a reset, after an answer or without one. */
async function assertEnds(client: Client): Promise<void> {
  const next = () => within("the end", client.receive().catch(() => null));
  while (await next() !== null);
}

class Order extends RequestHandler<string[]> {
  override setup(): void {
    this.server.context.push("setup");
    trip("setup");
  }

  override handle(): void {
    this.server.context.push("handle");
    trip("handle");
    if (armed === "both") throw new RangeError("earlier");
    if (armed === "same") throw SAME;
  }

  override finish(): void {
    this.server.context.push("finish");
    if (armed === "both") throw new RangeError("later");
    if (armed === "same") throw SAME;
  }
}

const SAME = new RangeError("the same twice");

async function runOrder(point: string): Promise<[string[], unknown[]]> {
  const context: string[] = [];
  await using server = new TCPServer({ port: 0 }, Order, { context });
  const errors = collectErrors(server);
  armed = point;
  try {
    const handled = server.handleRequest();
    using _client = await dial(server);
    await handled;
  } finally {
    armed = null;
  }
  return [context, errors];
}

test("setup() that throws means no finish(), handle() that throws still does", async () => {
  assertEquals((await runOrder("setup"))[0], ["setup"]);
  assertEquals((await runOrder("handle"))[0], ["setup", "handle", "finish"]);
});

test("of two errors of handle() and finish() the later is told, the earlier its cause", async () => {
  const [, errors] = await runOrder("both");
  assertEquals(messages(errors), ["later"]);
  assertEquals(messages([(errors[0] as Error).cause]), ["earlier"]);
});

/** Collects what is written to stderr, write by write. */
async function captureStderr(run: () => Promise<void>): Promise<string[]> {
  const writes: string[] = [];
  const { stderr } = Deno;
  const original = stderr.writeSync;
  stderr.writeSync = (bytes) => {
    writes.push(new TextDecoder().decode(bytes));
    return bytes.length;
  };
  try {
    await run();
  } finally {
    stderr.writeSync = original;
  }
  return writes;
}

class Thrower extends RequestHandler<() => unknown> {
  override handle(): void {
    throw this.server.context();
  }
}

function throwing(error: () => unknown): Promise<string[]> {
  return captureStderr(async () => {
    await using server = new TCPServer({ port: 0 }, Thrower, {
      context: error,
    });
    server.serveForever();
    using conn = await dial(server);
    assertEquals(await readToEnd(conn), "");
    await assertNextIsServed(server);
  });
}

async function assertNextIsServed(server: Addressed): Promise<void> {
  using next = await dial(server);
  assertEquals(await within("the next", readToEnd(next)), "");
}

test("handleError() prints an error in one write between rules", async () => {
  const writes = await throwing(() =>
    new RangeError("printed", { cause: new TypeError("the cause") })
  );
  assertEquals(writes.length, 2);
  const rule = "-".repeat(40);
  assertMatch(
    writes[0]!,
    new RegExp(
      `^${rule}\nException occurred during processing of request from 127.0.0.1:\\d+\nRangeError: printed\n[^]*TypeError: the cause\n[^]*${rule}\n$`,
    ),
  );
});

test("handleError() prints nothing for clients that left", async () => {
  const writes = await throwing(() => new Deno.errors.BrokenPipe("left"));
  assertEquals(writes, []);
});

test("an error that causes itself is printed, not followed for ever", async () => {
  const circular = new RangeError("circular");
  circular.cause = new TypeError("round and round", { cause: circular });
  const writes = await throwing(() => circular);
  assertStringIncludes(writes[0]!, "RangeError: circular");
});

test("an error whose causes have no end is printed with some of them", async () => {
  class Endless extends Error {
    override get cause(): Endless {
      return new Endless("and so on");
    }
  }
  const writes = await throwing(() => new Endless("first"));
  assertMatch(
    writes[0]!,
    /Error: first\n[^]*by: Error: and so on\n[^]*: more\n/,
  );
});

test("a cause of which few bytes would make a text without end is printed in short", async () => {
  let cause: unknown = "leaf";
  for (let level = 0; level < 100; level++) cause = [cause, cause];
  const writes = await throwing(() => new RangeError("caused", { cause }));
  assertMatch(writes[0]!, /RangeError: caused\n[^]*\nCaused by: \[/);
});

test("one error thrown by handle() and finish() is told without itself as cause", async () => {
  const [, errors] = await runOrder("same");
  assertEquals(errors, [SAME]);
  assertEquals(SAME.cause, undefined);
});

for (
  const [name, value] of [
    ["undefined", undefined],
    ["a symbol", Symbol("odd")],
    ["an object without prototype", Object.create(null)],
    ["a frozen error", Object.freeze(new RangeError("frozen"))],
  ] as const
) {
  test(`a handler may throw ${name}`, async () => {
    assertEquals((await throwing(() => value)).length, 2);
  });
}

test("handleError() that throws is printed, and the server serves on", async () => {
  const writes = await captureStderr(async () => {
    await using server = new TCPServer({ port: 0 }, Thrower, {
      context: () => new RangeError("from the handler"),
    });
    let calls = 0;
    server.handleError = () => {
      calls++;
      throw new TypeError("from the hook");
    };
    server.serveForever();
    using conn = await dial(server);
    assertEquals(await readToEnd(conn), "");
    await assertNextIsServed(server);
    assertEquals(calls, 2);
  });
  assertEquals(writes.length, 2);
  assertStringIncludes(writes[0]!, "TypeError: from the hook");
});

test("reports of 50 clients at once don't run into each other", async () => {
  const writes = await captureStderr(async () => {
    await using server = new TCPServer({ port: 0 }, Thrower, {
      context: () => new RangeError("at once"),
    });
    server.serveForever();
    await Promise.all(Array.from({ length: 50 }, async () => {
      using conn = await dial(server);
      assertEquals(await readToEnd(conn), "");
    }));
  });
  assertEquals(writes.length, 50);
  for (const text of writes) {
    assertEquals(text.split("-".repeat(40)).length, 3);
  }
});

class AsyncBindFailure extends TCPServer {
  override async serverBind(): Promise<void> {
    await pause(1);
    throw new RangeError("cannot bind");
  }
}

test("an asynchronous serverBind() that fails is told by serveForever() and ready", async () => {
  const server = new AsyncBindFailure({ port: 0 }, EchoHandler);
  const error = await server.serveForever().catch((error: unknown) => error);
  assertEquals(messages([error]), ["cannot bind"]);
  const unready = within("ready", server.ready).catch((error) => error);
  assertEquals(await unready, error);
  await server.serverClose();
});

test("serverActivate() that throws in the constructor closes the socket", () => {
  const path = freePath();
  class ActivateFailure extends TCPServer {
    override serverActivate(): void {
      throw new RangeError(path);
    }
  }
  let message = "";
  try {
    new ActivateFailure({ port: 0 }, EchoHandler);
  } catch (error) {
    message = (error as Error).message;
  }
  assertEquals(message, path); // the sanitizer sees a listener that is left
});

const HOSTILE: [what: string, make: () => unknown][] = [
  ["a Proxy that throws", () =>
    new Proxy({}, {
      getPrototypeOf() {
        throw new Error("not to be looked at");
      },
    })],
  [
    "an error whose code throws",
    () =>
      Object.defineProperty(new Error("odd"), "code", {
        get() {
          throw new Error("not to be looked at");
        },
      }),
  ],
  ["an error whose message and stack throw", () => {
    const descriptor = {
      get() {
        throw new Error("not to be looked at");
      },
    };
    return Object.defineProperties(new Error("odd"), {
      message: descriptor,
      stack: descriptor,
    });
  }],
  ["an object without a prototype", () => Object.create(null)],
];

for (const [what, make] of HOSTILE) {
  test(`TCPServer serves on after a handler threw ${what}`, async () => {
    class Hostile extends RequestHandler {
      override async handle(): Promise<void> {
        const line = await this.rfile.readLine();
        if (line === "throw") throw make();
        await this.wfile.write(`${line}\n`);
      }
    }
    await using server = new TCPServer({ port: 0 }, Hostile);
    const serving = server.serveForever();
    for (const line of ["throw\n", "fine\n"]) {
      using client = await Deno.connect(server.serverAddress);
      await client.write(new TextEncoder().encode(line));
      const answer = await within("the end", readToEnd(client));
      assertEquals(answer, line === "fine\n" ? line : "");
    }
    assertEquals((await server.stats()).errors, 1);
    await server.serverClose();
    await serving;
  });
}

for (const [what, make] of HOSTILE) {
  test(`TCPServer serves on after handleError() and a listener threw ${what}`, async () => {
    await using server = new TCPServer({ port: 0 }, EchoHandler);
    const rise = () => {
      throw make();
    };
    server.verifyRequest = server.handleError = rise;
    server.on("connection", rise);
    const serving = server.serveForever();
    using client = await Deno.connect(server.serverAddress);
    assertEquals(await within("the end", readToEnd(client)), "");
    server.verifyRequest = () => true;
    using next = await Deno.connect(server.serverAddress);
    await next.write(new TextEncoder().encode("fine"));
    await next.closeWrite();
    assertEquals(await within("the end", readToEnd(next)), "fine");
    await server.serverClose();
    await serving;
  });
}

test("TCPServer whose getRequest() returns no request reports that, and serves on", async () => {
  class Forgetful extends TCPServer {
    #forgets = true;
    override async getRequest() {
      const accepted = await super.getRequest();
      if (!this.#forgets) return accepted;
      this.#forgets = false;
      accepted[0].close();
      return undefined as never;
    }
  }
  await using server = new Forgetful({ port: 0 }, EchoHandler);
  const errors = collectErrors(server);
  server.serveForever();
  using first = await dial(server);
  assertEquals(await readToEnd(first), "");
  using second = await dial(server);
  await second.closeWrite();
  assertEquals(await within("the end", readToEnd(second)), "");
  assertEquals(messages(errors), [
    "Cannot serve what getRequest() returned, undefined: expected [request, clientAddress]",
  ]);
});
