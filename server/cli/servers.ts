/**
 * The servers that the command line starts, by mode and transport.
 *
 * @module
 */

import type { RequestHandlerClass } from "../../handlers/base_request_handler.ts";
import type { Mode, ServeCommand, Transport } from "./args.ts";
import type { TcpAddress, UnixAddress } from "../addresses.ts";
import type { BaseServer } from "../base_server.ts";
import {
  ForkingTCPServer,
  ForkingUDPServer,
  ForkingUnixDatagramServer,
  ForkingUnixStreamServer,
  ThreadingTCPServer,
  ThreadingUDPServer,
  ThreadingUnixDatagramServer,
  ThreadingUnixStreamServer,
} from "../replica_servers.ts";
import { TCPServer } from "../tcp_server.ts";
import { UDPServer } from "../udp_server.ts";
import { UnixDatagramServer } from "../unix_datagram_server.ts";
import { UnixStreamServer } from "../unix_stream_server.ts";

/** A server, as the command line sees it. */
export type CliServer =
  & Pick<
    BaseServer<never, never>,
    | "ready"
    | "serverAddress"
    | "shutdownTimeout"
    | "serveForever"
    | "serverClose"
    | "stats"
    | "on"
    | "off"
  >
  & {
    /** Of servers with replicas. */
    reload?(): Promise<void>;
    /** Of TCP servers. */
    replaceCertificate?(tls: { cert: string; key: string }): Promise<void>;
  };

/** The options of all servers; `module` exports the handler. */
export type ServerClass = new (
  address: TcpAddress & UnixAddress,
  RequestHandlerClass: RequestHandlerClass,
  options: ServeCommand["options"] & { module?: string; context?: unknown },
) => CliServer;

/** All twelve. */
export const SERVERS: Record<Mode, Record<Transport, ServerClass>> = {
  "event-loop": {
    tcp: TCPServer,
    udp: UDPServer,
    unix: UnixStreamServer,
    "unix-datagram": UnixDatagramServer,
  },
  threading: {
    tcp: ThreadingTCPServer,
    udp: ThreadingUDPServer,
    unix: ThreadingUnixStreamServer,
    "unix-datagram": ThreadingUnixDatagramServer,
  },
  forking: {
    tcp: ForkingTCPServer,
    udp: ForkingUDPServer,
    unix: ForkingUnixStreamServer,
    "unix-datagram": ForkingUnixDatagramServer,
  },
};
