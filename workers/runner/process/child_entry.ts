/**
 * The first of this package's modules in a child process.
 *
 * @module
 */
import { Channel } from "./channel.ts";
import { type ChildLink, LINK_VARIABLE } from "./rendezvous.ts";
import { type ModuleLoader, runMain, watchUncaught } from "../entry.ts";
import { Inbox } from "../inbox.ts";
import { adoptLaunchFlags, type LaunchFlags } from "./launch_flags.ts";
import type { ExitRecord } from "../error_record.ts";
import type { MessageHandler, RunnerPort } from "../runner.ts";

/** What every child is told first. */
export interface ChildStart {
  /** What was given for `main`. */
  data: unknown;
  /** What the parent knows of the program. */
  launchFlags: LaunchFlags;
}

class ChildPort implements RunnerPort {
  readonly kind = "process";
  readonly inbox = new Inbox();
  readonly close: () => void;
  #channel: Channel;

  constructor(channel: Channel, close: () => void) {
    this.#channel = channel;
    this.close = close;
  }

  get backlog(): number {
    return this.#channel.backlog;
  }

  get onmessage(): MessageHandler | null {
    return this.inbox.handler;
  }

  set onmessage(handler: MessageHandler | null) {
    this.inbox.handler = handler;
  }

  post(message: unknown): void {
    this.#channel.post(message);
  }

  flushed(): Promise<void> {
    return this.#channel.flushed();
  }
}

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
  if (link.ignoreInterrupt) Deno.addSignalListener("SIGINT", () => {});
  let ended = false;
  async function end(record: ExitRecord): Promise<void> {
    if (ended) return;
    ended = true;
    channel.control(["exit", record]);
    await channel.flushed();
    exit(record.code);
  }
  const channel = new Channel({
    message: (message) => port.inbox.deliver(message),
    control: (message) => {
      const { data, launchFlags } = message as ChildStart;
      adoptLaunchFlags(launchFlags);
      runMain({
        modules,
        main,
        port,
        data,
        ready: () => channel.control(["ready"]),
        end,
      });
    },
    // The parent is gone, or wants no more of this child.
    end: () => {
      if (!ended) exit(1);
    },
  });
  const port = new ChildPort(
    channel,
    () => end({ code: Deno.exitCode, reason: "returned" }),
  );
  watchUncaught(end);
  const conn = await connect(link);
  for (const descriptor of link.revoke) {
    await Deno.permissions.revoke(descriptor);
  }
  channel.run(conn);
}
