/**
 * The servers that the command line starts, by transport and mode. The classes
 * are exported for replicas to import.
 *
 * @module
 */

import type { RequestHandlerClass } from "../handlers/base_request_handler.ts";
import type { Mode, ServeCommand, Transport } from "./_cli_args.ts";
import { printLine } from "./_cli_output.ts";
import {
  formatAddress,
  type TcpAddress,
  type UnixAddress,
} from "./addresses.ts";
import type { BaseServer } from "./base_server.ts";
import { TCPServer } from "./tcp_server.ts";
import { UDPServer } from "./udp_server.ts";
import { UnixDatagramServer } from "./unix_datagram_server.ts";
import { UnixStreamServer } from "./unix_stream_server.ts";

/** What the command line needs of a server. */
export type CliServer = Pick<
  BaseServer,
  | "ready"
  | "serverAddress"
  | "shutdownTimeout"
  | "serveForever"
  | "serverClose"
>;

/** What all servers are made with; `module` is where the handler lies. */
export type ServerClass = new (
  address: TcpAddress & UnixAddress,
  RequestHandlerClass: RequestHandlerClass,
  options: ServeCommand["options"] & { module?: string },
) => CliServer;

/** A server, and the same that prints each request. */
export interface ServerPair {
  Quiet: ServerClass;
  Printing: ServerClass;
}

/** `TCPServer` that prints its connections. */
export class PrintingTCPServer extends printing(TCPServer) {
  static readonly module: string = import.meta.url;
}

/** `UDPServer` that prints its packets' senders. */
export class PrintingUDPServer extends printing(UDPServer) {
  static readonly module: string = import.meta.url;
}

/** `UnixStreamServer` that prints its connections. */
export class PrintingUnixStreamServer extends printing(UnixStreamServer) {
  static readonly module: string = import.meta.url;
}

/** `UnixDatagramServer` that prints its packets' senders. */
export class PrintingUnixDatagramServer extends printing(UnixDatagramServer) {
  static readonly module: string = import.meta.url;
}

/** The classes there are; a mode without one is refused. */
export const SERVERS: Record<Mode, Partial<Record<Transport, ServerPair>>> = {
  "event-loop": {
    tcp: { Quiet: TCPServer, Printing: PrintingTCPServer },
    udp: { Quiet: UDPServer, Printing: PrintingUDPServer },
    unix: { Quiet: UnixStreamServer, Printing: PrintingUnixStreamServer },
    "unix-datagram": {
      Quiet: UnixDatagramServer,
      Printing: PrintingUnixDatagramServer,
    },
  },
  threading: {},
  forking: {},
};

function printing<S extends ServerClass>(Base: S): S {
  const Printing = class extends (Base as ServerClass) {
    verifyRequest(request: unknown, client: Deno.Addr): boolean {
      const what = "packet" in (request as object) ? "packet" : "connection";
      printLine(`${what} from ${formatAddress(client)}`);
      return true;
    }
  };
  return Printing as ServerClass as S;
}
