/**
 * The command `serve`.
 *
 * @module
 */

import { logEvents } from "../observe/log_events.ts";
import type { ConnectionEvent } from "../server_events.ts";
import { isDatagram, type ServeCommand, UsageError } from "./args.ts";
import { findExecHandler, findHandler, type NamedHandler } from "./handlers.ts";
import { LiveStats } from "./live_stats.ts";
import { printLine, printNote } from "./output.ts";
import { readTls } from "./pem.ts";
import { Reloads } from "./reloads.ts";
import { type CliServer, SERVERS } from "./servers.ts";
import { StopSignals } from "./signals.ts";
import {
  formatAddress,
  type TcpAddress,
  type UnixAddress,
} from "../addresses.ts";
import type { DrainReport } from "../options.ts";

/** The exit code when the drain cut clients off. */
const CUT_OFF = 3;
/** The system knows no such name. */
const LOOKUP_REGEXP = /lookup|invalid host/;

/** Serves until a signal; returns the exit code. */
export async function runServe(command: ServeCommand): Promise<number> {
  const say = sayer(command);
  const { server, module, beforeExit } = await makeServer(command);
  using stop = new StopSignals(beforeExit);
  using _requests = printRequests(server, command);
  const serving = server.serveForever({ signal: stop.signal });
  {
    const hasNews = server.reload !== undefined || command.tls !== null;
    using reloads = hasNews ? new Reloads(server, command, stop, say) : null;
    await Promise.race([server.ready, serving]);
    if (!stop.signal.aborted) say(await describeReady(server, command));
    if (command.watch) reloads?.watch(module);
    using _live = command.live && new LiveStats(server, command.live);
    await serving;
  }
  const closing = server.serverClose();
  await Promise.race([closing, stop.settled()]);
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
  { log, transport }: ServeCommand,
): Disposable {
  if (log === "none") return { [Symbol.dispose]: () => {} };
  if (log !== "plain") {
    return logEvents(server, { format: log, write: printLine });
  }
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
function sayer({ log }: ServeCommand): (line: string) => void {
  return log === "plain" || log === "none" ? printLine : printNote;
}

async function makeServer(
  command: ServeCommand,
): Promise<NamedHandler & { server: CliServer }> {
  const { transport, mode, address, exec, options } = command;
  const Server = SERVERS[mode][transport];
  const found = exec === null
    ? await findHandler(command.handler, transport)
    : await findExecHandler(exec, mode);
  const { Handler, module, context } = found;
  const tls = command.tls && await readTls(command.tls);
  try {
    const server = new Server(address as TcpAddress & UnixAddress, Handler, {
      ...options,
      ...tls,
      ...(mode !== "event-loop" && { module }),
      ...(context !== undefined && { context }),
    });
    return { ...found, server };
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) {
      throw new UsageError(error.message, { cause: error });
    }
    throw withCure(error, "port" in address);
  }
}

function withCure(error: unknown, hasPort: boolean): unknown {
  if (!(error instanceof Error)) return error;
  const cure = findCure(error, hasPort);
  return cure === null
    ? error
    : new Error(`${error.message}; ${cure}`, { cause: error });
}

function findCure(error: Error, hasPort: boolean): string | null {
  const { errors } = Deno;
  if (error instanceof errors.NotFound) return "make the path's folder first";
  if (!hasPort) return null;
  if (error instanceof errors.AddrInUse) {
    return "end the other server or give another --port";
  }
  if (error instanceof errors.AddrNotAvailable) {
    return "give a --hostname of this machine";
  }
  if (LOOKUP_REGEXP.test(error.message)) return "give another --hostname";
  return error instanceof errors.PermissionDenied
    ? "give a --port from 1024 on, or the right to use lower ones"
    : null;
}

async function describeReady(
  server: CliServer,
  command: ServeCommand,
): Promise<string> {
  const { handler, exec, transport, mode, tls } = command;
  const at = formatAddress(server.serverAddress);
  const { dispatch } = await server.stats();
  const how = [transport, tls && "TLS", mode, dispatch].filter(Boolean);
  const what = exec ?? handler;
  return `Serving ${what} on ${at} (${how.join(", ")}); press Ctrl-C to stop`;
}

function describeReport({ completed, aborted }: DrainReport): string {
  const requests = completed === 1 ? "request" : "requests";
  const { length } = aborted;
  const clients = length === 0
    ? ""
    : ` (${aborted.map(formatAddress).join(", ")})`;
  return `Stopped: ${completed} open ${requests} finished, ${length} cut off${clients}`;
}
