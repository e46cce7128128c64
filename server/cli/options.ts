/**
 * The options of the command line. One table drives parsing, checks, help and
 * suggestions.
 *
 * @module
 */

const TRANSPORTS = ["tcp", "udp", "unix", "unix-datagram"] as const;
const MODES = ["threading", "event-loop", "forking"] as const;
const DISPATCHES = ["auto", "shard", "relay", "isolate"] as const;
/** A longer timer would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;
const MAX_COUNT = Number.MAX_SAFE_INTEGER;
const MAX_PACKET_BYTES = 2 ** 20;

const PACKETS = ["udp", "unix-datagram"] as const;
const STREAMS = ["tcp", "unix"] as const;
const INTERNET = ["tcp", "udp"] as const;

/** The transport. */
export type Transport = typeof TRANSPORTS[number];
/** Where handlers run. */
export type Mode = typeof MODES[number];

/** What an option takes: nothing, a text, several, one of some, an integer. */
type Kind =
  | "flag"
  | "text"
  | "list"
  | readonly string[]
  | { min: number; max: number };

/** An option, and where it has an effect. */
export interface Option {
  kind: Kind;
  short?: string;
  /** What each form of its value means; the key of a flag's is empty. */
  help: Record<string, string>;
  /** The transports that it has an effect with: all if absent. */
  on?: readonly Transport[];
  /** Whether it is for threads and processes only. */
  replicas?: true;
  /** An option without which it has no effect. */
  with?: string;
  /** Options that it can't be used with. */
  without?: readonly string[];
}

/** Options by their names. */
export type Table = Record<string, Option>;

const ADDRESS =
  "Address, as 8080, :8080, localhost:8080, tcp://host:port, udp://host:port,\nunix:/path, unix-datagram:/path, or by options:";

const ADDRESS_OPTIONS = {
  transport: {
    kind: TRANSPORTS,
    short: "t",
    help: { T: "tcp, udp, unix or unix-datagram (tcp)" },
  },
  hostname: {
    kind: "text",
    on: INTERNET,
    help: { NAME: "for tcp and udp: name or IP address (127.0.0.1)" },
  },
  port: {
    kind: { min: 0, max: 65_535 },
    short: "p",
    on: INTERNET,
    help: { N: "for tcp and udp: port (8080)" },
  },
  path: {
    kind: "text",
    on: ["unix", "unix-datagram"],
    help: { PATH: "for unix and unix-datagram: the socket's path" },
  },
} as const satisfies Table;

const HANDLER = {
  handler: {
    kind: "text",
    without: ["exec"],
    help: {
      NAME: "echo, discard, daytime, chargen or sum (echo)",
      "FILE#CLASS":
        "a class that a module exports: ./upper.ts#Upper, jsr:@scope/name#Upper, https://...#Upper",
    },
  },
  watch: {
    kind: "flag",
    replicas: true,
    with: "handler FILE#CLASS",
    help: {
      "":
        "new code when a module changes in the file's folder or below it (threading and forking)",
    },
  },
  exec: {
    kind: "text",
    on: STREAMS,
    help: {
      '"COMMAND ARGS"':
        "a command for each connection, which is its stdin and stdout; quotes and backslashes as in a shell, but no shell (tcp and unix)",
    },
  },
} as const satisfies Table;

const RUNNING = {
  mode: {
    kind: MODES,
    short: "m",
    help: { MODE: "threading, forking or event-loop (threading)" },
  },
  workers: {
    kind: { min: 1, max: MAX_COUNT },
    replicas: true,
    help: { N: "threads or child processes (one a core)" },
  },
  dispatch: {
    kind: DISPATCHES,
    replicas: true,
    help: {
      WAY:
        "how requests reach them (auto):\nauto     shard where it can be had, else relay\nshard    all accept on one TCP port\nrelay    the parent accepts and hands on\nisolate  as relay, with one for each request",
    },
  },
  permissions: {
    kind: ["none", "inherit"],
    replicas: true,
    without: ["exec"],
    help: { P: "what handlers may do: none or inherit (inherit)" },
  },
} as const satisfies Table;

const TLS = {
  cert: {
    kind: "text",
    on: ["tcp"],
    help: { FILE: "the certificate chain, in PEM" },
  },
  key: {
    kind: "text",
    on: ["tcp"],
    help: { FILE: "its private key, in PEM" },
  },
} as const satisfies Table;

const LIMITS = {
  allow: {
    kind: "list",
    on: INTERNET,
    help: {
      LIST:
        "the only clients served: addresses and subnets with commas between them; may be repeated (tcp and udp)",
    },
  },
  deny: {
    kind: "list",
    on: INTERNET,
    help: { LIST: "clients refused, also those that --allow has" },
  },
  timeout: {
    kind: { min: 1, max: MAX_TIMER_MS },
    on: STREAMS,
    help: {
      MS:
        "longest wait for a client to send or take bytes; with --exec, to take bytes (tcp and unix)",
    },
  },
  "max-connections": {
    kind: { min: 1, max: MAX_COUNT },
    help: { N: "most requests open at once; others wait (no limit)" },
  },
  "max-packet-size": {
    kind: { min: 1, max: MAX_PACKET_BYTES },
    on: PACKETS,
    help: { N: "longest packet in bytes (what the system delivers)" },
  },
  "shutdown-timeout": {
    kind: { min: 0, max: MAX_TIMER_MS },
    help: { MS: "how long open requests may go on at the end (10000)" },
  },
} as const satisfies Table;

const OUTPUT = {
  quiet: {
    kind: "flag",
    short: "q",
    help: { "": "don't print each connection" },
  },
  log: {
    kind: ["text", "json"],
    without: ["quiet"],
    help: {
      FORMAT:
        "text or json: a line on stdout for each connection, its end with bytes and duration, and each error",
    },
  },
  stats: {
    kind: { min: 1, max: Math.floor(MAX_TIMER_MS / 1_000) },
    without: ["top"],
    help: { SECONDS: "counts and percentiles on stderr, every so often" },
  },
  top: {
    kind: "flag",
    replicas: true,
    help: { "": "a table of the replicas, every second (terminal)" },
  },
} as const satisfies Table;

/** The options of `serve`, by the headings in its help. */
const SERVE_SECTIONS: [heading: string, options: Table][] = [
  [ADDRESS, ADDRESS_OPTIONS],
  ["Handler:", HANDLER],
  ["Where handlers run:", RUNNING],
  ["TLS (tcp):", TLS],
  ["Limits:", LIMITS],
  ["Output:", OUTPUT],
];

/** The options of `serve`. */
export const SERVE_OPTIONS = {
  ...ADDRESS_OPTIONS,
  ...HANDLER,
  ...RUNNING,
  ...TLS,
  ...LIMITS,
  ...OUTPUT,
};

const CLIENT = {
  crlf: {
    kind: "flag",
    on: STREAMS,
    help: { "": "end lines with CR LF, as many protocols want (tcp and unix)" },
  },
  tls: {
    kind: "flag",
    on: ["tcp"],
    help: { "": "talk TLS (tcp)" },
  },
  ca: {
    kind: "text",
    with: "tls",
    help: {
      FILE:
        "the authority of the server's certificate, in PEM, besides those that Deno trusts",
    },
  },
  timeout: {
    kind: { min: 1, max: MAX_TIMER_MS },
    on: PACKETS,
    help: { MS: "for packets: longest wait for an answer (1000)" },
  },
} as const satisfies Table;

/** The options of `client`. */
export const CLIENT_OPTIONS = { ...ADDRESS_OPTIONS, ...CLIENT };
const CLIENT_SECTIONS: typeof SERVE_SECTIONS = [
  [ADDRESS, ADDRESS_OPTIONS],
  ["Options:", CLIENT],
];

/** The help on both commands. */
const HELP = `Socket servers, and a client that talks to them

Usage: deno task serve [address] [options]     an echo server on 127.0.0.1:8080
       deno task client [address] [options]    a line client for it
       deno run server/cli.ts help [serve | client]
       deno run server/cli.ts --version

Without the repository:
  deno run --allow-net jsr:@socketserver/socketserver/cli serve

Add these where you use them:
  --allow-read               a clone, a FILE, unix, unix-datagram, --exec
  --allow-write              unix, unix-datagram
  --allow-run                --mode forking, --exec
  --allow-env=PATH           --exec with a name that is no path
  --unstable-net             udp, unix-datagram; --mode forking, to share a port
  --unstable-worker-options  --permissions none in threads

"serve --help" and "client --help" show the options.
Exit codes: 0 done, 1 failed, 2 arguments that can't work, 3 the end of the
server cut clients off.`;

const SERVE_HEAD = `Serves until SIGINT (Ctrl-C) or SIGTERM

Usage: deno task serve [address] [options]`;

const SERVE_TAIL =
  `Port 0 takes any free port; the line "Serving ..." tells which. At the first
signal open requests may finish; a second one ends the program at once. SIGHUP
replaces threads and processes by new ones, which load the handler's code again;
open requests finish on the old code, within --shutdown-timeout. It also reads
--cert and --key again, for the clients that come then.`;

const CLIENT_HEAD = `Sends what you type, line by line; prints what comes

Usage: deno task client [address] [options]
       printf '2 3\\n' | deno task client [address] [options]`;

const CLIENT_TAIL =
  `Ctrl-D ends the input and closes that half of the connection; the client ends
when the server does. Over udp and unix-datagram each line is a packet; a line
without an answer makes the exit code 1.`;

/** The help on a command, or on both. */
export function help(command?: "serve" | "client"): string {
  if (command === undefined) return HELP;
  return command === "serve"
    ? `${SERVE_HEAD}\n${describe(SERVE_SECTIONS)}\n${SERVE_TAIL}`
    : `${CLIENT_HEAD}\n${describe(CLIENT_SECTIONS)}\n${CLIENT_TAIL}`;
}

const WIDTH = 80;
/** Where the descriptions begin. */
const INDENT = " ".repeat(29);

function describe(sections: typeof SERVE_SECTIONS): string {
  let text = "";
  for (const [heading, options] of sections) {
    text += `\n${heading}\n`;
    for (const [name, { short, help }] of Object.entries(options)) {
      for (const [value, meaning] of Object.entries(help)) {
        const names = `${short ? `  -${short}, ` : "      "}--${name} ${value}`;
        text += entry(names, meaning);
      }
    }
  }
  return text + entry("  -h, --help", "this help");
}

function entry(names: string, meaning: string): string {
  const [first, ...rest] = wrap(meaning, WIDTH - INDENT.length);
  const lines = [
    `${names.trimEnd().padEnd(INDENT.length - 1)} ${first}`,
    ...rest.map((line) => INDENT + line),
  ];
  return `${lines.join("\n")}\n`;
}

function wrap(text: string, width: number): string[] {
  return text.split("\n").flatMap((paragraph) => {
    const lines: string[] = [];
    let line = "";
    for (const word of paragraph.split(/(?<=\S) (?=\S)/)) {
      if (line !== "" && line.length + 1 + word.length > width) {
        lines.push(line);
        line = word;
      } else line = line === "" ? word : `${line} ${word}`;
    }
    return [...lines, line];
  });
}
