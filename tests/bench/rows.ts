/**
 * What is measured, and beside what. A row's first contender is what the others
 * are compared with.
 *
 * @module
 */

/** A server: its program prints a line when it is ready. */
export interface Contender {
  name: string;
  command: "deno" | "node" | "python3";
  /** `"AT"` stands for the port or the path. */
  args: string[];
}

/** Servers that are given the same load. */
export interface Row {
  name: string;
  transport: "tcp" | "udp" | "unix";
  /** Whether each message comes over a connection of its own. */
  renew?: boolean;
  contenders: Contender[];
}

function byHand(transport: Row["transport"]): Contender {
  return deno("a Deno loop, by hand", "deno_loop.ts", transport);
}

function deno(name: string, file: string, kind: string): Contender {
  return { name, command: "deno", args: ["run", "-A", file, kind, "AT"] };
}

function ours(name: string, kind: string): Contender {
  return deno(name, "ours.ts", kind);
}

/** Ours with 1 or more replicas. */
function replicas(
  kind: "thread" | "process",
  handler: "echo" | "work",
  dispatch: "shard" | "relay",
  workers: number,
): Contender {
  const name = kind === "thread" ? "ThreadingTCPServer" : "ForkingTCPServer";
  const file = ["run", "-A", "replicas.ts"];
  return {
    name: `${name}, ${dispatch}, workers: ${workers}`,
    command: "deno",
    args: [...file, kind, handler, dispatch, String(workers), "AT"],
  };
}

function python(name: string, kind: string): Contender {
  const args = ["python_servers.py", kind, "AT"];
  return { name: `Python ${name}`, command: "python3", args };
}

const NODE: Contender = {
  name: "Node net",
  command: "node",
  args: ["node_net.mjs", "AT"],
};
const NODE_CLUSTER: Contender = {
  name: "Node net, cluster of 2",
  command: "node",
  args: ["node_net.mjs", "AT", "2"],
};
const PYTHON_THREADING = python("ThreadingTCPServer", "threading");

/** All rows. */
export const ROWS: Row[] = [
  {
    name: "tcp",
    transport: "tcp",
    contenders: [
      byHand("tcp"),
      ours("TCPServer, EchoHandler", "echo"),
      ours("TCPServer, own request.read()", "own"),
      NODE,
      PYTHON_THREADING,
    ],
  },
  {
    name: "connections",
    transport: "tcp",
    renew: true,
    contenders: [
      byHand("tcp"),
      ours("TCPServer, EchoHandler", "echo"),
      NODE,
      PYTHON_THREADING,
    ],
  },
  {
    name: "lines",
    transport: "tcp",
    contenders: [
      byHand("tcp"),
      ours("TCPServer, rfile and wfile", "lines"),
      python("ThreadingTCPServer, lines", "lines"),
      python("asyncio, lines", "asyncio-lines"),
    ],
  },
  {
    name: "udp",
    transport: "udp",
    contenders: [
      byHand("udp"),
      ours("UDPServer, EchoHandler", "udp"),
      ours("UDPServer, own socket.send()", "udp-own"),
      python("UDPServer", "udp"),
    ],
  },
  {
    name: "unix",
    transport: "unix",
    contenders: [
      byHand("unix"),
      ours("UnixStreamServer, EchoHandler", "unix"),
    ],
  },
  {
    name: "shard",
    transport: "tcp",
    contenders: [
      ours("TCPServer, EchoHandler", "echo"),
      replicas("thread", "echo", "shard", 1),
      replicas("thread", "echo", "shard", 2),
      replicas("process", "echo", "shard", 1),
      replicas("process", "echo", "shard", 2),
      NODE_CLUSTER,
      PYTHON_THREADING,
      python("ForkingTCPServer", "forking"),
    ],
  },
  {
    name: "relay",
    transport: "tcp",
    contenders: [
      ours("TCPServer, EchoHandler", "echo"),
      replicas("thread", "echo", "relay", 1),
      replicas("thread", "echo", "relay", 2),
      replicas("process", "echo", "relay", 2),
    ],
  },
  {
    name: "work-threads",
    transport: "tcp",
    contenders: [1, 2].map((n) => replicas("thread", "work", "shard", n)),
  },
  {
    name: "work-processes",
    transport: "tcp",
    contenders: [1, 2].map((n) => replicas("process", "work", "shard", n)),
  },
];
