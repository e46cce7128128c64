/**
 * The servers that the command line starts, by transport and mode. The classes
 * are exported for replicas to import.
 *
 * @module
 */

import type { RequestHandlerClass } from "../../handlers/base_request_handler.ts";
import type { Mode, ServeCommand, Transport } from "./args.ts";
import { printLine } from "./output.ts";
import {
  formatAddress,
  type TcpAddress,
  type UnixAddress,
} from "../addresses.ts";
import type { BaseServer } from "../base_server.ts";
import {
  ForkingTCPServer,
  ForkingUDPServer,
  ForkingUnixDatagramServer,
  ForkingUnixStreamServer,
} from "../forking_servers.ts";
import { TCPServer } from "../tcp_server.ts";
import {
  ThreadingTCPServer,
  ThreadingUDPServer,
  ThreadingUnixDatagramServer,
  ThreadingUnixStreamServer,
} from "../threading_servers.ts";
import { UDPServer } from "../udp_server.ts";
import { UnixDatagramServer } from "../unix_datagram_server.ts";
import { UnixStreamServer } from "../unix_stream_server.ts";

/** What the command line needs of a server. */
export type CliServer = Pick<
  BaseServer,
  | "ready"
  | "serverAddress"
  | "shutdownTimeout"
  | "serveForever"
  | "serverClose"
  | "stats"
>;

/** What all servers are made with; `module` is where the handler lies. */
export type ServerClass = new (
  address: TcpAddress & UnixAddress,
  RequestHandlerClass: RequestHandlerClass,
  options: ServeCommand["options"] & { module?: string; context?: unknown },
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

/** `ThreadingTCPServer` that prints its connections. */
export class PrintingThreadingTCPServer extends printing(ThreadingTCPServer) {
  static readonly module: string = import.meta.url;
}

/** `ThreadingUDPServer` that prints its packets' senders. */
export class PrintingThreadingUDPServer extends printing(ThreadingUDPServer) {
  static readonly module: string = import.meta.url;
}

/** `ThreadingUnixStreamServer` that prints its connections. */
export class PrintingThreadingUnixStreamServer
  extends printing(ThreadingUnixStreamServer) {
  static readonly module: string = import.meta.url;
}

/** `ThreadingUnixDatagramServer` that prints its packets' senders. */
export class PrintingThreadingUnixDatagramServer
  extends printing(ThreadingUnixDatagramServer) {
  static readonly module: string = import.meta.url;
}

/** `ForkingTCPServer` that prints its connections. */
export class PrintingForkingTCPServer extends printing(ForkingTCPServer) {
  static readonly module: string = import.meta.url;
}

/** `ForkingUDPServer` that prints its packets' senders. */
export class PrintingForkingUDPServer extends printing(ForkingUDPServer) {
  static readonly module: string = import.meta.url;
}

/** `ForkingUnixStreamServer` that prints its connections. */
export class PrintingForkingUnixStreamServer
  extends printing(ForkingUnixStreamServer) {
  static readonly module: string = import.meta.url;
}

/** `ForkingUnixDatagramServer` that prints its packets' senders. */
export class PrintingForkingUnixDatagramServer
  extends printing(ForkingUnixDatagramServer) {
  static readonly module: string = import.meta.url;
}

/** All twelve. */
export const SERVERS: Record<Mode, Record<Transport, ServerPair>> = {
  "event-loop": {
    tcp: { Quiet: TCPServer, Printing: PrintingTCPServer },
    udp: { Quiet: UDPServer, Printing: PrintingUDPServer },
    unix: { Quiet: UnixStreamServer, Printing: PrintingUnixStreamServer },
    "unix-datagram": {
      Quiet: UnixDatagramServer,
      Printing: PrintingUnixDatagramServer,
    },
  },
  threading: {
    tcp: {
      Quiet: ThreadingTCPServer,
      Printing: PrintingThreadingTCPServer,
    },
    udp: {
      Quiet: ThreadingUDPServer,
      Printing: PrintingThreadingUDPServer,
    },
    unix: {
      Quiet: ThreadingUnixStreamServer,
      Printing: PrintingThreadingUnixStreamServer,
    },
    "unix-datagram": {
      Quiet: ThreadingUnixDatagramServer,
      Printing: PrintingThreadingUnixDatagramServer,
    },
  },
  forking: {
    tcp: {
      Quiet: ForkingTCPServer,
      Printing: PrintingForkingTCPServer,
    },
    udp: {
      Quiet: ForkingUDPServer,
      Printing: PrintingForkingUDPServer,
    },
    unix: {
      Quiet: ForkingUnixStreamServer,
      Printing: PrintingForkingUnixStreamServer,
    },
    "unix-datagram": {
      Quiet: ForkingUnixDatagramServer,
      Printing: PrintingForkingUnixDatagramServer,
    },
  },
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
