/**
 * Prints a server's requests.
 *
 * @module
 */

import { isDatagram } from "./address.ts";
import type { ServeCommand } from "./args.ts";
import { printLine } from "./output.ts";
import type { CliServer } from "./servers.ts";
import { formatAddress } from "../addresses.ts";
import { logEvents } from "../observe/log_events.ts";
import type { ConnectionEvent } from "../server_events.ts";

/** Prints each request in the chosen format, until disposed. */
export function printRequests(
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
