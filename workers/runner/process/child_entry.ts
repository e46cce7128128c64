/**
 * The first of this package's modules in a child process.
 *
 * @module
 */
import { Channel } from "./channel.ts";
import { type ChildLink, LINK_VARIABLE } from "./rendezvous.ts";
import {
  type ModuleLoader,
  Port,
  runMain,
  tellExit,
  watchUncaught,
} from "../entry.ts";
import {
  type ExitRecord,
  FRAME,
  ProtocolError,
  toExitRecord,
} from "../protocol.ts";
import { openShareLink, receiveAnswer } from "./share_link.ts";

async function connect(
  link: ChildLink,
): Promise<Deno.TcpConn | Deno.UnixConn> {
  const conn = "transport" in link.connect && link.connect.transport === "unix"
    ? await Deno.connect(link.connect)
    : await Deno.connect(link.connect as Deno.ConnectOptions);
  if ("setNoDelay" in conn) conn.setNoDelay();
  const secret = new TextEncoder().encode(link.secret);
  for (let sent = 0; sent < secret.length;) {
    sent += await conn.write(secret.subarray(sent));
  }
  return conn;
}

/**
 * Runs a child's modules.
 *
 * @param modules The user's modules.
 * @param main The module of this package that exports `main`.
 */
export async function enter(
  modules: ModuleLoader[],
  main: ModuleLoader,
): Promise<void> {
  const exit = Deno.exit;
  const link: ChildLink = JSON.parse(Deno.env.get(LINK_VARIABLE) ?? "");
  Deno.env.delete(LINK_VARIABLE);
  // A terminal sends them to all its processes. The parent decides
  Deno.addSignalListener("SIGINT", () => {});
  if (Deno.build.os !== "windows") Deno.addSignalListener("SIGHUP", () => {});
  let ended = false;
  async function end(record: ExitRecord): Promise<void> {
    if (ended) return;
    ended = true;
    tellExit((exit) => channel.send(FRAME.exit, exit), record);
    await channel.flushed();
    exit(record.code);
  }
  let started = false;
  const channel = new Channel({
    receive: (kind, value) => {
      if (started) {
        if (kind === FRAME.message) return port.inbox.deliver(value);
        if (kind === FRAME.share) return receiveAnswer(value);
        throw new ProtocolError("A frame is unknown or out of order");
      }
      started = true;
      runMain({
        modules,
        main,
        port,
        kind,
        value,
        ready: () => ended || channel.send(FRAME.ready),
        end,
      });
    },
    fail: (error) => end(toExitRecord(error)),
    // The parent is gone, or wants no more of this child.
    end: () => {
      if (!ended) exit(1);
    },
  });
  const port = new Port({
    kind: "process",
    backlog: () => channel.backlog,
    post: (message) => ended || channel.send(FRAME.message, message),
    flushed: () => channel.flushed(),
    end,
  });
  openShareLink((call) => ended || channel.send(FRAME.share, call));
  watchUncaught(end);
  const conn = await connect(link);
  for (const [descriptor, unless] of link.revoke) {
    // Revoking something revokes what covers it as well
    const { state } = Deno.permissions.querySync(unless);
    if (state !== "granted") Deno.permissions.revokeSync(descriptor);
  }
  channel.run(conn);
}
