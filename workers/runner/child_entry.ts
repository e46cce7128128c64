/**
 * The first of this package's modules in a child process.
 *
 * @module
 */
import { Channel, type ChildLink, LINK_VARIABLE } from "../line/socket_line.ts";
import { setParentsProof } from "../codec/share.ts";
import { type ModuleLoader, Port } from "./entry.ts";
import type { RunnerMain } from "./runner.ts";
import { FRAME } from "../line/dialect.ts";
import {
  openShareLink,
  receiveAnswer,
  tellClaims,
} from "../queue/_share_link.ts";

async function connect({ connect, secret }: ChildLink) {
  const conn: Deno.TcpConn | Deno.UnixConn = await Deno.connect(
    connect as Deno.ConnectOptions,
  );
  if ("setNoDelay" in conn) conn.setNoDelay();
  const bytes = new TextEncoder().encode(secret);
  for (let sent = 0; sent < bytes.length;) {
    sent += await conn.write(bytes.subarray(sent));
  }
  return conn;
}

/**
 * Runs a child's modules.
 *
 * @param modules The user's modules.
 * @param main What this package runs there.
 */
export async function enter(
  modules: ModuleLoader[],
  main: RunnerMain,
): Promise<void> {
  const exit = Deno.exit;
  const link: ChildLink = JSON.parse(Deno.env.get(LINK_VARIABLE) ?? "");
  Deno.env.delete(LINK_VARIABLE);
  setParentsProof(link.proof);
  // A terminal sends them to all its processes. The parent decides
  Deno.addSignalListener("SIGINT", () => {});
  if (Deno.build.os !== "windows") Deno.addSignalListener("SIGHUP", () => {});
  let leaving = false;
  const channel = new Channel(
    {
      receive: (kind, value) => {
        if (kind === FRAME.share) receiveAnswer(value);
        else port.receive(kind, value);
      },
      fail: (error) => port.fail(error),
      // The parent is gone, or wants no more of this child.
      end: () => {
        if (!leaving) exit(1);
      },
    },
    "trusted",
    link.sender,
  );
  const port = new Port(
    {
      kind: "process",
      backlog: () => channel.backlog,
      send: (kind, value) => {
        tellClaims();
        channel.send(kind, value);
      },
      flushed: () => channel.flushed(),
      sendNow: () => channel.sendNow(),
      leave: async (code) => {
        leaving = true;
        await channel.flushed();
        exit(code);
      },
    },
    modules,
    main,
  );
  openShareLink({
    get position() {
      return channel.position;
    },
    send: (message, now) => leaving || channel.send(FRAME.share, message, now),
    confirm: (position) => channel.confirm(position),
  }, link.sender);
  // Deno.exit() and its like end the process without another turn
  globalThis.addEventListener("unload", () => {
    tellClaims();
    channel.sendNow();
  });
  const conn = await connect(link);
  for (const [descriptor, unless] of link.revoke) {
    // Revoking something revokes what covers it as well
    const { state } = Deno.permissions.querySync(unless);
    if (state !== "granted") Deno.permissions.revokeSync(descriptor);
  }
  channel.run(conn);
}
