/**
 * What is measured, and beside what. A row's first contender is what the others
 * are compared with.
 *
 * @module
 */

/** A server: its program prints a line when it is ready. */
export interface Contender {
  name: string;
  /** One of the tools; without it the contender is left out. */
  command: string;
  /** `"AT"` stands for the port or the path. */
  args: string[];
}

/** Servers that are given the same load. */
export interface Row {
  name: string;
  transport: "tcp" | "udp" | "unix";
  connections: number;
  /** Bytes of a message. */
  size: number;
  /** Whether each message comes over a connection of its own. */
  renew: boolean;
  /** How many messages are sent at once. */
  pipeline: number;
  /** Whether messages come half as fast as the first contender can answer. */
  halfRate: boolean;
  generator: "loadgen" | "redis-benchmark";
  contenders: Contender[];
}

const USUAL: Omit<Row, "name" | "contenders"> = {
  transport: "tcp",
  connections: 50,
  size: 64,
  renew: false,
  pipeline: 1,
  halfRate: false,
  generator: "loadgen",
};

function row(
  name: string,
  contenders: Contender[],
  unusual: Partial<Row> = {},
): Row {
  return { ...USUAL, name, contenders, ...unusual };
}

function deno(name: string, file: string, ...args: string[]): Contender {
  const flags = ["run", "-A", "--unstable-net"];
  return { name, command: "deno", args: [...flags, file, ...args, "AT"] };
}

function byHand(kind: string): Contender {
  return deno("a Deno loop, by hand", "deno_loop.ts", kind);
}

function ours(name: string, kind: string): Contender {
  return deno(name, "ours.ts", kind);
}

/** Ours with 1 or more replicas. */
function replicas(
  kind: "thread" | "process",
  handler: "echo" | "work",
  dispatch: "shard" | "relay" | "isolate",
  workers: number,
): Contender {
  const server = kind === "thread" ? "ThreadingTCPServer" : "ForkingTCPServer";
  const count = dispatch === "isolate" ? "" : `, workers: ${workers}`;
  const name = `${server}, ${dispatch}${count}`;
  return deno(name, "replicas.ts", kind, handler, dispatch, `${workers}`);
}

function python(name: string, kind: string): Contender {
  const args = ["python_servers.py", kind, "AT"];
  return { name: `Python ${name}`, command: "python3", args };
}

function node(name: string, command: string, ...args: string[]): Contender {
  return { name, command, args: ["node_net.mjs", "AT", ...args] };
}

const ECHO = ours("TCPServer, EchoHandler", "echo");
const NODE = node("Node net", "node");
const NODE_CLUSTER = node("Node net, cluster of 2", "node", "2");
const THREADING = python("ThreadingTCPServer", "threading");
const FORKING = python("ForkingTCPServer", "forking");
const PEERS: Contender[] = [
  NODE,
  deno("node:net of Deno", "node_net.mjs"),
  node("node:net of Bun", "bun"),
  { name: "Go net", command: "go_net", args: ["AT"] },
  python("asyncio", "asyncio"),
  THREADING,
];
const LINES: Contender[] = [
  byHand("tcp"),
  ours("TCPServer, rfile and wfile", "lines"),
  python("asyncio, lines", "asyncio-lines"),
  python("ThreadingTCPServer, lines", "lines"),
];

/** All rows. */
export const ROWS: Row[] = [
  row("limit", [
    byHand("tcp"),
    { name: "epoll in C", command: "epoll", args: ["AT"] },
  ]),
  row("tcp", [
    byHand("tcp"),
    ECHO,
    ours("TCPServer, own request.read()", "own"),
    deno("a Deno loop, pipeTo()", "deno_loop.ts", "pipe"),
    ...PEERS,
  ]),
  row("connections", [byHand("tcp"), ECHO, ...PEERS], { renew: true }),
  row("lines", LINES),
  row("pipelined", LINES, { pipeline: 16, size: 32 }),
  row("redis", [
    deno("a Deno store, by hand", "redis_loop.ts"),
    ours("TCPServer, a store, plain awaits", "redis"),
    ours("TCPServer, a store, tryReadLine()", "redis-try"),
  ], {
    generator: "redis-benchmark",
    pipeline: 16,
  }),
  row("udp", [
    byHand("udp"),
    ours("UDPServer, EchoHandler", "udp"),
    ours("UDPServer, wfile", "udp-wfile"),
    ours("UDPServer, socket.send()", "udp-own"),
    python("UDPServer", "udp"),
  ], { transport: "udp" }),
  row("unix", [
    byHand("unix"),
    ours("UnixStreamServer, EchoHandler", "unix"),
  ], { transport: "unix" }),
  row("shard", [
    byHand("tcp"),
    ...[1, 2, 4].map((n) => replicas("thread", "echo", "shard", n)),
    ...[1, 2].map((n) => replicas("process", "echo", "shard", n)),
    NODE_CLUSTER,
    FORKING,
  ]),
  row("shard-process", [
    deno("two Deno loops, reusePort", "deno_loop.ts", "twice"),
    replicas("process", "echo", "shard", 2),
  ]),
  row("relay", [
    byHand("tcp"),
    ECHO,
    ...[1, 2].map((n) => replicas("thread", "echo", "relay", n)),
    replicas("process", "echo", "relay", 2),
  ]),
  row("relay-connections", [
    byHand("tcp"),
    ECHO,
    replicas("thread", "echo", "relay", 2),
    replicas("process", "echo", "relay", 2),
  ], { renew: true }),
  ...(["thread", "process"] as const).map((kind) =>
    row(`work-${kind}`, [1, 2].map((n) => replicas(kind, "work", "shard", n)))
  ),
  ...(["thread", "process"] as const).map((kind) =>
    row(`isolate-${kind}`, [
      deno(`a bare ${kind} for each`, "start_loop.ts", kind),
      replicas(kind, "echo", "isolate", 40),
      FORKING,
    ], { renew: true, connections: 8 })
  ),
  ...[1, 1_000, 9_000].map((connections) =>
    row(`growth-${connections}`, [byHand("tcp"), ECHO], { connections })
  ),
  row("latency", [byHand("tcp"), ECHO, NODE], { halfRate: true }),
];
