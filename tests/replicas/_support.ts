/** What the tests of servers with replicas share: the modes, and leak checks. */

import { assertEquals } from "@std/assert";
import {
  type BaseServer,
  type Dispatch,
  EchoHandler,
  ForkingTCPServer,
  ForkingUDPServer,
  ForkingUnixDatagramServer,
  ForkingUnixStreamServer,
  type ReplicaOptions,
  type RequestHandlerClass,
  type ServerStats,
  type TcpServerOptions,
  ThreadingTCPServer,
  ThreadingUDPServer,
  ThreadingUnixDatagramServer,
  ThreadingUnixStreamServer,
} from "../../mod.ts";
import {
  type Addressed,
  type AnyHandlerClass,
  type Client,
  freePath,
  kinds,
  sideBySide,
} from "../servers/_support.ts";
import "../support/leaks.ts";
import { listDescendants } from "../support/system.ts";
import { until, within } from "../support/waiting.ts";

/** A server with replicas, whatever its requests. */
export type ReplicaServer = BaseServer<never> & {
  reload(): Promise<void>;
};

/** A class of servers with replicas, and how they get their requests. */
export interface Mode {
  readonly name: string;
  readonly isStream: boolean;
  readonly transport: keyof typeof kinds;
  readonly runner: "thread" | "process";
  readonly dispatch: Dispatch;
  open(
    handler: AnyHandlerClass,
    options?: ReplicaOptions & TcpServerOptions,
  ): ReplicaServer;
  /**
   * Opens one with a single replica at a time, which takes half the processor
   * time: for what is not about several.
   */
  openOne(
    handler: AnyHandlerClass,
    options?: ReplicaOptions & TcpServerOptions,
  ): ReplicaServer;
  /** Opens a TCP server of this mode on a port. */
  openAt(port: number, hostname?: string): ReplicaServer;
  connect(server: Addressed): Promise<Client>;
}

type Opener = (
  handler: RequestHandlerClass,
  options: ReplicaOptions,
) => unknown;

const OPENERS: [Mode["transport"], Mode["runner"], string, Opener][] = [
  [
    "tcp",
    "thread",
    "ThreadingTCPServer",
    (handler, options) => new ThreadingTCPServer({ port: 0 }, handler, options),
  ],
  [
    "tcp",
    "process",
    "ForkingTCPServer",
    (handler, options) => new ForkingTCPServer({ port: 0 }, handler, options),
  ],
  [
    "udp",
    "thread",
    "ThreadingUDPServer",
    (handler, options) => new ThreadingUDPServer({ port: 0 }, handler, options),
  ],
  [
    "udp",
    "process",
    "ForkingUDPServer",
    (handler, options) => new ForkingUDPServer({ port: 0 }, handler, options),
  ],
  [
    "unix",
    "thread",
    "ThreadingUnixStreamServer",
    (handler, options) =>
      new ThreadingUnixStreamServer({ path: freePath() }, handler, options),
  ],
  [
    "unix",
    "process",
    "ForkingUnixStreamServer",
    (handler, options) =>
      new ForkingUnixStreamServer({ path: freePath() }, handler, options),
  ],
  [
    "unixDatagram",
    "thread",
    "ThreadingUnixDatagramServer",
    (handler, options) =>
      new ThreadingUnixDatagramServer({ path: freePath() }, handler, options),
  ],
  [
    "unixDatagram",
    "process",
    "ForkingUnixDatagramServer",
    (handler, options) =>
      new ForkingUnixDatagramServer({ path: freePath() }, handler, options),
  ],
];

function modesOf(
  [transport, runner, className, open]: typeof OPENERS[number],
): Mode[] {
  const dispatches: Dispatch[] = transport === "tcp"
    ? ["shard", "relay", "isolate"]
    : ["relay", "isolate"];
  return dispatches.map((dispatch): Mode => ({
    name: `${className} by ${dispatch}`,
    isStream: kinds[transport].isStream,
    transport,
    runner,
    dispatch,
    open: (handler, options) =>
      open(handler as RequestHandlerClass, {
        dispatch,
        workers: 2,
        ...options,
      }) as ReplicaServer,
    openOne(handler, options) {
      return this.open(handler, { workers: 1, ...options });
    },
    openAt: (port, hostname = "127.0.0.1") => {
      const Server = runner === "thread"
        ? ThreadingTCPServer
        : ForkingTCPServer;
      const options = { dispatch, workers: 1 };
      return new Server(
        { hostname, port },
        EchoHandler,
        options,
      ) as unknown as ReplicaServer;
    },
    connect: kinds[transport].connect,
  }));
}

/** Every class with every dispatch. */
export const MODES: readonly Mode[] = OPENERS.flatMap(modesOf);
/** Those that serve connections. */
export const STREAM_MODES: readonly Mode[] = MODES.filter((mode) =>
  mode.isStream
);
/** The transports that go over each way to a runner in {@linkcode CROSSED}. */
const CROSSING: Readonly<Record<string, readonly Mode["transport"][]>> = {
  "thread shard": ["tcp"],
  "process shard": ["tcp"],
  "thread relay": ["tcp", "udp"],
  "process relay": ["unix", "unixDatagram"],
  "thread isolate": ["unix", "unixDatagram"],
  "process isolate": ["tcp", "udp"],
};
/**
 * Each way to a runner once for connections and once for packets, over all four
 * transports together: for what does not depend on the transport.
 */
export const CROSSED: readonly Mode[] = MODES.filter((mode) =>
  CROSSING[`${mode.runner} ${mode.dispatch}`]!.includes(mode.transport)
);
/** Those of them that serve connections. */
export const CROSSED_STREAMS: readonly Mode[] = CROSSED.filter((mode) =>
  mode.isStream
);
/** Those that serve TCP. */
export const TCP_MODES: readonly Mode[] = MODES.filter((mode) =>
  mode.transport === "tcp"
);
/** TCP, without the dispatch that has a replica for each request. */
export const LASTING_MODES: readonly Mode[] = TCP_MODES.filter((mode) =>
  mode.dispatch !== "isolate"
);

/** The mode of a name, such as `"ThreadingTCPServer by relay"`. */
export function modeOf(name: string): Mode {
  return MODES.find((mode) => mode.name === name)!;
}

/** The mode's dispatch, where the port may turn out not to be shared. */
export function sharedOrAuto({ dispatch }: Mode): Dispatch {
  return dispatch === "shard" ? "auto" : dispatch;
}

/** Runs a test that must leave no child behind, not even for a moment. */
export function test(
  name: string,
  run: (t: Deno.TestContext) => void | Promise<void>,
  options: { ignore?: boolean } = {},
): void {
  Deno.test({
    name,
    ...options,
    fn: async (t) => {
      await within("the test", run(t));
      assertEquals(listDescendants(), [], "children are left");
    },
  });
}

/** The modes that differ most, one of each of which stands for the others. */
const DISTINCT: readonly ((mode: Mode) => boolean)[] = [
  ({ runner, dispatch }) => runner === "thread" && dispatch === "shard",
  ({ runner, dispatch }) => runner === "process" && dispatch === "relay",
  ({ dispatch }) => dispatch === "isolate",
];

/** Whether tests take the whole matrix, for twice the time: `deno task test:all`. */
export const TAKES_ALL = Deno.env.get("TEST_MODES") === "all";

/**
 * Chooses three modes at most, unless tests take the whole matrix.
 *
 * @param what The test's name: others of its file take other transports.
 */
export function chooseModes(group: readonly Mode[], what: string): Mode[] {
  if (TAKES_ALL) return [...group];
  const chosen = DISTINCT.flatMap((isOne) => {
    const alike = group.filter(isOne);
    return alike.length === 0 ? [] : [alike[what.length % alike.length]!];
  });
  return chosen.length === 0 ? group.slice(0, 1) : chosen;
}

/** The dispatches of TCP that a test of a class takes. */
export function dispatchesOf(Server: { name: string }): Dispatch[] {
  if (TAKES_ALL) return ["shard", "relay", "isolate"];
  return Server.name.includes("Threading") ? ["shard", "isolate"] : ["relay"];
}

/** Runs a test for some modes: each, or those that differ most. */
export function testEach(
  group: readonly Mode[],
  what: string,
  run: (mode: Mode) => Promise<void>,
): void {
  for (const mode of chooseModes(group, what)) {
    test(`${mode.name} ${what}`, () => run(mode));
  }
}

/** As {@linkcode testEach}, but side by side: for tests that mostly wait. */
export function testTogether(
  group: readonly Mode[],
  what: string,
  run: (mode: Mode) => Promise<void>,
): void {
  const modes = chooseModes(group, what);
  test(`${what}, side by side`, (t) =>
    sideBySide(
      t,
      modes.map((mode) => [mode.name, () => run(mode)]),
    ));
}

/** The counts of a server, once they meet a condition. */
export async function statsWhen(
  server: Pick<BaseServer<never>, "stats">,
  condition: (stats: ServerStats) => boolean,
  what: string,
): Promise<ServerStats> {
  let stats = await server.stats();
  await until(async () => condition(stats = await server.stats()), what)
    .catch((error) => {
      throw new Error(`${error.message}: ${JSON.stringify(stats)}`);
    });
  return stats;
}

/** Settles when every replica of a server is usable; one is enough for it. */
export async function allReady(
  server: Pick<BaseServer<never>, "ready" | "stats">,
): Promise<void> {
  await server.ready;
  await statsWhen(
    server,
    ({ replicas = [] }) => replicas.every(({ state }) => state !== "starting"),
    "all replicas are ready",
  );
}
