/**
 * The command `serve`.
 *
 * @module
 */

import { ECHO_MS, inTime } from "../../workers/base/waits.ts";
import { logEvents } from "../observe/log_events.ts";
import type { ConnectionEvent } from "../server_events.ts";
import { given, isDatagram, type ServeCommand } from "./args.ts";
import { findExecHandler, findHandler, type NamedHandler } from "./handlers.ts";
import { LiveStats } from "./live_stats.ts";
import { printLine, printNote } from "./output.ts";
import { readTls } from "./pem.ts";
import { type Cures, UsageError, withCure } from "./problems.ts";
import { Reloads } from "./reloads.ts";
import { type CliServer, serverClass } from "./servers.ts";
import { StopSignals } from "./signals.ts";
import {
  formatAddress,
  type TcpAddress,
  type UnixAddress,
} from "../addresses.ts";
import type { DrainReport } from "../options.ts";

const DEFAULT_MODE = "threading";
const DEFAULT_HANDLER = "echo";
/** The exit code when the drain cut clients off. */
const CUT_OFF = 3;
const PORT_CURES: Cures = [
  [/^AddrInUse/, "end the other server or give another --port"],
  [/^AddrNotAvailable/, "give a --hostname of this machine"],
  [/lookup|invalid host/, "give another --hostname"],
  [
    /^PermissionDenied/,
    "give a --port from 1024 on, or the right to use lower ones",
  ],
];
const PATH_CURES: Cures = [[/^NotFound/, "make the path's folder first"]];

/** Serves until a signal; returns the exit code. */
export async function runServe(command: ServeCommand): Promise<number> {
  const say = sayer(command);
  const { server, module, beforeExit } = await makeServer(command);
  using stop = new StopSignals(beforeExit);
  using _requests = printRequests(server, command);
  const serving = server.serveForever({ signal: stop.signal });
  {
    const { cert, watch, stats, top } = command.options;
    const hasNews = server.reload !== undefined || cert !== undefined;
    using reloads = hasNews ? new Reloads(server, command, stop, say) : null;
    await Promise.race([server.ready, serving]);
    if (!stop.signal.aborted) say(await describeReady(server, command));
    if (watch) reloads?.watch(module!);
    using _live = stats || top ? new LiveStats(server, stats) : null;
    await serving;
  }
  const closing = server.serverClose();
  await inTime(closing, ECHO_MS); // until then a signal is the first's echo
  say(
    `Stopping: open requests have ${server.shutdownTimeout} ms to finish; another signal ends them at once`,
  );
  const report = await closing;
  say(describeReport(report));
  return report.aborted.length === 0 ? 0 : CUT_OFF;
}

/** Prints each request in the chosen format, until disposed. */
function printRequests(
  server: CliServer,
  { options: { log, quiet, top }, transport }: ServeCommand,
): Disposable | null {
  if (log) return logEvents(server, { format: log, write: printLine });
  // Lines of requests would push the table away
  if (quiet || top) return null;
  // A packet has only the event of its end
  const [name, what] = isDatagram(transport)
    ? ["requestEnd", "packet"] as const
    : ["connection", "connection"] as const;
  const listener = ({ clientAddress }: ConnectionEvent) =>
    printLine(`${what} from ${formatAddress(clientAddress)}`);
  server.on(name, listener);
  return { [Symbol.dispose]: () => server.off(name, listener) };
}

/** With a log on stdout, everything else goes to stderr. */
function sayer({ options }: ServeCommand): (line: string) => void {
  return options.log === undefined ? printLine : printNote;
}

async function makeServer(
  { transport, address, options }: ServeCommand,
): Promise<NamedHandler & { server: CliServer }> {
  const { mode = DEFAULT_MODE, handler = DEFAULT_HANDLER, exec } = options;
  const { allow, deny, workers, dispatch, permissions } = options;
  const found = exec === undefined
    ? await findHandler(handler, transport)
    : await findExecHandler(exec, mode);
  const settings = given({
    ...await readTls(options),
    allow,
    deny,
    workers,
    dispatch,
    permissions,
    maxConnections: options["max-connections"],
    maxPacketSize: options["max-packet-size"],
    shutdownTimeout: options["shutdown-timeout"],
    idleTimeout: options.timeout,
    module: mode === "event-loop" ? undefined : found.module,
    context: found.context,
  });
  const Server = serverClass(mode, transport);
  try {
    const at = address as TcpAddress & UnixAddress;
    return { ...found, server: new Server(at, found.Handler, settings) };
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) {
      throw new UsageError(error.message, { cause: error });
    }
    throw withCure(error, "port" in address ? PORT_CURES : PATH_CURES);
  }
}

async function describeReady(
  server: CliServer,
  { transport, options }: ServeCommand,
): Promise<string> {
  const { mode = DEFAULT_MODE, handler = DEFAULT_HANDLER, exec } = options;
  const at = formatAddress(server.serverAddress);
  const { dispatch } = await server.stats();
  const how = [transport, options.cert && "TLS", mode, dispatch];
  return `Serving ${exec ?? handler} on ${at} (${
    how.filter(Boolean).join(", ")
  }); press Ctrl-C to stop`;
}

function describeReport({ completed, aborted }: DrainReport): string {
  const requests = completed === 1 ? "request" : "requests";
  const { length } = aborted;
  const clients = length === 0
    ? ""
    : ` (${aborted.map(formatAddress).join(", ")})`;
  return `Stopped: ${completed} open ${requests} finished, ${length} cut off${clients}`;
}
