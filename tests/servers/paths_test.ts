/** Paths of Unix sockets: taken, left, respected. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { EchoHandler } from "../../mod.ts";
import { UnixDatagramServer, UnixStreamServer } from "../../mod.ts";
import {
  type AnyServer,
  assertBound,
  assertEchoes,
  freePath,
  type Kind,
  kinds,
  test,
} from "./_support.ts";
import { startDeno } from "./_programs.ts";
import { onceFree } from "../support/sockets.ts";
import { LINUX_ONLY } from "../support/system.ts";
import { pause } from "../support/waiting.ts";

const UNIX: readonly Kind[] = [kinds.unix, kinds.unixDatagram];

function open(kind: Kind, path: string): AnyServer {
  return kind.name === "UnixStreamServer"
    ? new UnixStreamServer({ path }, EchoHandler) as AnyServer
    : new UnixDatagramServer({ path }, EchoHandler) as AnyServer;
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch {
    return false;
  }
}

/** Leaves a socket file behind that nobody listens on. */
async function leaveStale(path: string, datagram: boolean): Promise<void> {
  const options = datagram
    ? `listenDatagram({ transport: "unixpacket", path: Deno.args[0] })`
    : `listen({ transport: "unix", path: Deno.args[0] })`;
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--unstable-net", `Deno.${options}; Deno.exit(0)`, path],
  }).output();
  assert(success);
  assert((await Deno.lstat(path)).isSocket);
}

/** Has threads be made by another class, until disposed. */
function replaceWorker(Replacement: unknown): Disposable {
  const { Worker } = globalThis;
  globalThis.Worker = Replacement as typeof Worker;
  return { [Symbol.dispose]: () => void (globalThis.Worker = Worker) };
}

/** Begins a while later than others. */
class SlowWorker extends Worker {
  constructor(source: string, options: WorkerOptions) {
    const wait =
      "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2500);";
    super(source.replace(",", `,${encodeURIComponent(wait)}`), options);
  }
}

/** Never begins. */
class NoWorker {
  postMessage() {}
  terminate() {}
}

test("UnixStreamServer leaves a socket alone if it can't tell whether anybody listens, and says so in seconds", async () => {
  const path = freePath();
  await leaveStale(path, false);
  using _none = replaceWorker(NoWorker);
  const began = performance.now();
  const open = () => new UnixStreamServer({ path }, EchoHandler);
  const { message } = assertThrows(open, Deno.errors.AddrInUse);
  assert(performance.now() - began < 20_000);
  assert(message.includes("may listen"), message);
  assert(await exists(path));
});

for (const kind of UNIX) {
  test(`${kind.name}.fileno() finds a path with blanks and an end of line`, async () => {
    for (const path of ["/a  b c", "/a\nb"]) {
      const folder = await Deno.makeTempDir();
      await using server = open(kind, folder + path);
      assertBound(server);
      await server.serverClose();
      await Deno.remove(folder);
    }
  });

  for (const datagram of [false, true]) {
    test(`${kind.name} replaces a stale ${datagram ? "datagram" : "stream"} socket`, async () => {
      const path = freePath();
      await leaveStale(path, datagram);
      await using server = open(kind, path);
      server.serveForever();
      await assertEchoes(kind, server);
    });
  }

  test(`${kind.name} replaces a stale socket also where a thread starts slowly`, async () => {
    const path = freePath();
    await leaveStale(path, false);
    using _slow = replaceWorker(SlowWorker);
    await using server = open(kind, path);
    server.serveForever();
    await assertEchoes(kind, server);
  });

  for (const other of UNIX) {
    test(`${kind.name} refuses the path of a live ${other.name}`, async () => {
      const path = freePath();
      await using live = open(other, path);
      live.serveForever();
      assertThrows(() => open(kind, path), Deno.errors.AddrInUse, path);
      await assertEchoes(other, live);
    });
  }

  test(`${kind.name} refuses a regular file, a folder and symbolic links`, async () => {
    const file = freePath();
    await Deno.writeTextFile(file, "precious");
    const folder = freePath();
    await Deno.mkdir(folder);
    const stale = freePath();
    await leaveStale(stale, false);
    for (const target of [file, folder, stale, freePath()]) {
      const link = freePath();
      await Deno.symlink(target, link);
      assertThrows(() => open(kind, link), Deno.errors.AddrInUse, link);
      assertEquals(await Deno.readLink(link), target);
    }
    for (const path of [file, folder]) {
      assertThrows(() => open(kind, path), Deno.errors.AddrInUse, path);
    }
    assertEquals(await Deno.readTextFile(file), "precious");
  });

  test(`${kind.name} removes its own path on close`, async () => {
    const path = freePath();
    const server = open(kind, path);
    assert(await exists(path));
    await server.serverClose();
    assertEquals(await exists(path), false);
  });

  test(`${kind.name} leaves a successor's path alone`, async () => {
    const path = freePath();
    const first = open(kind, path);
    await Deno.remove(path);
    await pause(5); // the new file may get the same inode
    await using successor = open(kind, path);
    successor.serveForever();
    await first.serverClose();
    assert((await Deno.lstat(path)).isSocket);
    await assertEchoes(kind, successor);
  });

  test(`${kind.name} leaves a file alone that took the place of its socket`, async () => {
    const path = freePath();
    const server = open(kind, path);
    await Deno.remove(path);
    await pause(5);
    await Deno.writeTextFile(path, "precious");
    await server.serverClose();
    assertEquals(await Deno.readTextFile(path), "precious");
  });

  test(`${kind.name} closes when its path was removed already`, async () => {
    const path = freePath();
    const server = open(kind, path);
    await Deno.remove(path);
    await server.serverClose();
  });

  test(`${kind.name} finds a relative path again after a change of the working directory`, async () => {
    const folder = freePath();
    await Deno.mkdir(folder);
    await using program = startDeno("_moving_program.ts", {
      args: [kind.name, folder],
    });
    assertEquals(await program.readLine(), "bound true, left false");
  });

  test(`${kind.name} takes an abstract name`, async () => {
    const path = `\0socketserver-${crypto.randomUUID()}`;
    const server = open(kind, path);
    const served = server.serveForever();
    assertEquals(server.serverAddress.transport.startsWith("unix"), true);
    assertBound(server);
    assertThrows(() => open(kind, path), Deno.errors.AddrInUse);
    await assertEchoes(kind, server);
    await server.serverClose();
    await served;
    const again = await onceFree(() => open(kind, path));
    await again.serverClose();
  }, LINUX_ONLY);

  test(`${kind.name} gives its file the option "mode"`, async () => {
    const path = freePath();
    const Server = kind === kinds.unix ? UnixStreamServer : UnixDatagramServer;
    for (const mode of [0o600, 0o666]) {
      const options = { mode, bindAndActivate: false };
      await using server = new Server({ path }, EchoHandler, options);
      await server.serverBind();
      assertEquals((await Deno.stat(path)).mode! & 0o777, mode);
    }
    for (const mode of [-1, 0o1000, 1.5]) {
      const construct = () => new Server({ path }, EchoHandler, { mode });
      assertThrows(construct, RangeError, '"mode"');
    }
    assertEquals(await exists(path), false);
  });

  test(`${kind.name} takes the longest path, 107 bytes`, async () => {
    const start = freePath();
    const path = start + "x".repeat(107 - start.length);
    await using server = open(kind, path);
    server.serveForever();
    await assertEchoes(kind, server);
  }, LINUX_ONLY);
}

test("UnixStreamServer keeps its file's mode and owner over suspend() and resume()", async () => {
  const path = freePath();
  await using server = new UnixStreamServer({ path }, EchoHandler);
  await Deno.chmod(path, 0o660);
  if (Deno.uid() === 0) await Deno.chown(path, 1, 2);
  const { mode, uid, gid } = await Deno.stat(path);
  for (const _ of [1, 2]) {
    await server.suspend();
    assertEquals(await exists(path), false);
    await server.resume();
    const now = await Deno.stat(path);
    assertEquals([now.mode, now.uid, now.gid], [mode, uid, gid]);
  }
});

test("UnixStreamServer refuses connections once it is closed", async () => {
  const path = freePath();
  const server = open(kinds.unix, path);
  await server.serverClose();
  await assertRejects(() => Deno.connect({ transport: "unix", path }));
});
