/**
 * The options of the command line, and its help.
 *
 * @module
 */

import { UsageError } from "./problems.ts";
import { suggest } from "./suggest.ts";

const TRANSPORTS = ["tcp", "udp", "unix", "unix-datagram"] as const;
const MODES = ["threading", "event-loop", "forking"] as const;
const PACKETS = ["udp", "unix-datagram"] as const;
const STREAMS = ["tcp", "unix"] as const;
const INTERNET = ["tcp", "udp"] as const;
const UNIX = ["unix", "unix-datagram"] as const;

/** A longer timer would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;
const MAX_STATS_SECONDS = Math.floor(MAX_TIMER_MS / 1_000);
const MAX_PACKET_BYTES = 2 ** 20;
const DIGITS_REGEXP = /^\d+$/;

/** The transport. */
export type Transport = typeof TRANSPORTS[number];
/** Where handlers run. */
export type Mode = typeof MODES[number];

/** Reads what was written for an option. */
export type Reader<V> = (written: string, name: string) => V;

/** An option, and where it has an effect. */
export interface Option {
  /** A flag, or how the value is read. */
  kind: "flag" | Reader<unknown>;
  /** Its letter. */
  short?: string;
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

function text(written: string, name: string): string {
  if (written !== "") return written;
  throw new UsageError(`--${name} is empty: give a value`);
}

/** Items with commas between them; the option may be repeated. */
export function list(written: string, name: string): string[] {
  return written.split(",").map((item) => text(item.trim(), name));
}

function oneOf<const C extends readonly string[]>(
  choices: C,
): Reader<C[number]> {
  return (written, name) => {
    const choice = choices.find((one) => one === written);
    if (choice !== undefined) return choice;
    throw new UsageError(
      `Cannot use "${written}" as --${name}: expected ${choices.join(", ")}${
        suggest(written, choices)
      }`,
    );
  };
}

function integer(min: number, max?: number): Reader<number> {
  return (written, name) => {
    const number = DIGITS_REGEXP.test(written) ? Number(written) : NaN;
    if (number >= min && number <= (max ?? Number.MAX_SAFE_INTEGER)) {
      return number;
    }
    const range = max ? `from ${min} to ${max}` : `of ${min} or more`;
    throw new UsageError(
      `Cannot use "${written}" as --${name}: expected an integer ${range}`,
    );
  };
}

const ADDRESS_OPTIONS = {
  transport: { kind: oneOf(TRANSPORTS), short: "t" },
  hostname: { kind: text, on: INTERNET },
  port: { kind: integer(0, 65_535), short: "p", on: INTERNET },
  path: { kind: text, on: UNIX },
} as const satisfies Table;

/** The options of `serve`. */
export const SERVE_OPTIONS = {
  ...ADDRESS_OPTIONS,
  handler: { kind: text, without: ["exec"] },
  watch: { kind: "flag", replicas: true },
  exec: { kind: text, on: STREAMS },
  mode: { kind: oneOf(MODES), short: "m" },
  workers: { kind: integer(1), replicas: true },
  dispatch: {
    kind: oneOf(["auto", "shard", "relay", "isolate"]),
    replicas: true,
  },
  permissions: {
    kind: oneOf(["none", "inherit"]),
    replicas: true,
    without: ["exec"],
  },
  cert: { kind: text, on: ["tcp"], with: "key" },
  key: { kind: text, on: ["tcp"], with: "cert" },
  allow: { kind: list, on: INTERNET },
  deny: { kind: list, on: INTERNET },
  timeout: { kind: integer(1, MAX_TIMER_MS), on: STREAMS },
  "max-connections": { kind: integer(1) },
  "max-packet-size": { kind: integer(1, MAX_PACKET_BYTES), on: PACKETS },
  "shutdown-timeout": { kind: integer(0, MAX_TIMER_MS) },
  quiet: { kind: "flag", short: "q" },
  log: { kind: oneOf(["text", "json"]), without: ["quiet"] },
  stats: { kind: integer(1, MAX_STATS_SECONDS), without: ["top"] },
  top: { kind: "flag", replicas: true },
} as const satisfies Table;

/** The options of `client`. */
export const CLIENT_OPTIONS = {
  ...ADDRESS_OPTIONS,
  crlf: { kind: "flag", on: STREAMS },
  tls: { kind: "flag", on: ["tcp"] },
  ca: { kind: text, with: "tls" },
  timeout: { kind: integer(1, MAX_TIMER_MS), on: PACKETS },
} as const satisfies Table;

const BOTH_HELP = `Socket servers, and a client that talks to them

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

const ADDRESS_HELP =
  `Address, as 8080, :8080, localhost:8080, tcp://host:port, udp://host:port,
unix:/path, unix-datagram:/path, or by options:
  -t, --transport T          tcp, udp, unix or unix-datagram (tcp)
      --hostname NAME        for tcp and udp: name or IP address (127.0.0.1)
  -p, --port N               for tcp and udp: port (8080)
      --path PATH            for unix and unix-datagram: the socket's path`;

const SERVE_HELP = `Serves until SIGINT (Ctrl-C) or SIGTERM

Usage: deno task serve [address] [options]

${ADDRESS_HELP}

Handler:
      --handler NAME         echo, discard, daytime, chargen or sum (echo)
      --handler FILE#CLASS   a class that a module exports: ./upper.ts#Upper,
                             jsr:@scope/name#Upper, https://...#Upper
      --watch                new code when a module changes in the file's folder
                             or below it (threading and forking)
      --exec "COMMAND ARGS"  a command for each connection, which is its stdin
                             and stdout; quotes and backslashes as in a shell,
                             but no shell (tcp and unix)

Where handlers run:
  -m, --mode MODE            threading, forking or event-loop (threading)
      --workers N            threads or child processes (one a core)
      --dispatch WAY         how requests reach them (auto):
                             auto     shard where it can be had, else relay
                             shard    all accept on one TCP port
                             relay    the parent accepts and hands on
                             isolate  as relay, with one for each request
      --permissions P        what handlers may do: none or inherit (inherit)

TLS (tcp):
      --cert FILE            the certificate chain, in PEM
      --key FILE             its private key, in PEM

Limits:
      --allow LIST           the only clients served: addresses and subnets with
                             commas between them; may be repeated (tcp and udp)
      --deny LIST            clients refused, also those that --allow has
      --timeout MS           longest wait for a client to send or take bytes;
                             with --exec, to take bytes (tcp and unix)
      --max-connections N    most requests open at once; others wait (no limit)
      --max-packet-size N    longest packet in bytes (what the system delivers)
      --shutdown-timeout MS  how long open requests may go on at the end (10000)

Output:
  -q, --quiet                don't print each connection
      --log FORMAT           text or json: a line on stdout for each connection,
                             its end with bytes and duration, and each error
      --stats SECONDS        counts and percentiles on stderr, every so often
      --top                  a table of the replicas, every second (terminal)
  -h, --help                 this help

Port 0 takes any free port; the line "Serving ..." tells which. At the first
signal open requests may finish; a second one ends the program at once. SIGHUP
replaces threads and processes by new ones, which load the handler's code again;
open requests finish on the old code, within --shutdown-timeout. It also reads
--cert and --key again, for the clients that come then.`;

const CLIENT_HELP = `Sends what you type, line by line; prints what comes

Usage: deno task client [address] [options]
       printf '2 3\\n' | deno task client [address] [options]

${ADDRESS_HELP}

Options:
      --crlf                 end lines with CR LF, as many protocols want (tcp
                             and unix)
      --tls                  talk TLS (tcp)
      --ca FILE              the authority of the server's certificate, in PEM,
                             besides those that Deno trusts
      --timeout MS           for packets: longest wait for an answer (1000)
  -h, --help                 this help

Ctrl-D ends the input and closes that half of the connection; the client ends
when the server does. Over udp and unix-datagram each line is a packet; a line
without an answer makes the exit code 1.`;

/** The help on both commands, and on each. */
export const HELP: ReadonlyMap<string | undefined, string> = new Map([
  [undefined, BOTH_HELP],
  ["serve", SERVE_HELP],
  ["client", CLIENT_HELP],
]);
