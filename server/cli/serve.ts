/**
 * The command `serve`.
 *
 * @module
 */

import type { ServeCommand } from "./args.ts";
import { findExecHandler } from "./exec.ts";
import { findHandler } from "./handlers.ts";
import { printLine } from "./output.ts";
import { printRequests } from "./requests.ts";
import { type CliServer, SERVERS } from "./servers.ts";
import { StopSignals } from "./signals.ts";
import { UsageError } from "./usage_error.ts";
import {
  formatAddress,
  type TcpAddress,
  type UnixAddress,
} from "../addresses.ts";
import type { DrainReport } from "../drain_report.ts";

/** The exit code when the drain cut clients off. */
const CUT_OFF = 3;

/** Serves until a signal; returns the exit code. */
export async function runServe(command: ServeCommand): Promise<number> {
  const server = await makeServer(command);
  using _requests = printRequests(server, command);
  using stop = new StopSignals();
  const serving = server.serveForever({ signal: stop.signal });
  await Promise.race([server.ready, serving]);
  if (!stop.signal.aborted) await printReady(server, command);
  await serving;
  const closing = server.serverClose();
  await Promise.race([closing, stop.settled()]);
  printLine(
    `Stopping: open requests have ${server.shutdownTimeout} ms to finish; another signal ends them at once`,
  );
  const report = await closing;
  printReport(report);
  return report.aborted.length === 0 ? 0 : CUT_OFF;
}

async function makeServer(command: ServeCommand): Promise<CliServer> {
  const { transport, mode, address, exec, options } = command;
  const Server = SERVERS[mode][transport];
  const { Handler, module } = exec === null
    ? await findHandler(command.handler, transport)
    : await findExecHandler(exec);
  try {
    return new Server(address as TcpAddress & UnixAddress, Handler, {
      ...options,
      ...(mode !== "event-loop" && { module }),
      ...(exec !== null && { context: exec }),
    });
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
  return error instanceof errors.PermissionDenied
    ? "give a --port from 1024 on, or the right to use lower ones"
    : null;
}

async function printReady(
  server: CliServer,
  command: ServeCommand,
): Promise<void> {
  const { handler, exec, transport, mode } = command;
  const at = formatAddress(server.serverAddress);
  const { dispatch } = await server.stats();
  const how = [transport, mode, dispatch].filter(Boolean).join(", ");
  printLine(
    `Serving ${
      exec?.join(" ") ?? handler
    } on ${at} (${how}); press Ctrl-C to stop`,
  );
}

function printReport({ completed, aborted }: DrainReport): void {
  const requests = completed === 1 ? "request" : "requests";
  const { length } = aborted;
  const clients = length === 0
    ? ""
    : ` (${aborted.map(formatAddress).join(", ")})`;
  printLine(
    `Stopped: ${completed} ${requests} finished, ${length} cut off${clients}`,
  );
}
