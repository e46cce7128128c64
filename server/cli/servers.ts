/**
 * The servers that the command line starts, by mode and transport.
 *
 * @module
 */

import type { RequestHandlerClass } from "../../handlers/base_request_handler.ts";
import type { TcpAddress, UnixAddress } from "../addresses.ts";
import type { BaseServer } from "../base_server.ts";
import type {
  ReplicaOptions,
  TcpServerOptions,
  UdpServerOptions,
} from "../options.ts";
import type { ReplicaServer } from "../replicas/replica_class.ts";
import { TCPServer } from "../tcp_server.ts";
import * as replicas from "../replica_servers.ts";
import { UDPServer } from "../udp_server.ts";
import { UnixDatagramServer } from "../unix_datagram_server.ts";
import { UnixStreamServer } from "../unix_stream_server.ts";
import type { Mode, Transport } from "./options.ts";

/** A server, as the command line sees it; some have replicas, some speak TCP. */
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
  & Partial<ReplicaServer & Pick<TCPServer, "replaceCertificate">>;

/** The options of all servers; `module` exports the handler. */
export type ServerClass = new (
  address: TcpAddress & UnixAddress,
  RequestHandlerClass: RequestHandlerClass,
  options: TcpServerOptions & UdpServerOptions & ReplicaOptions,
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
    tcp: replicas.ThreadingTCPServer,
    udp: replicas.ThreadingUDPServer,
    unix: replicas.ThreadingUnixStreamServer,
    "unix-datagram": replicas.ThreadingUnixDatagramServer,
  },
  forking: {
    tcp: replicas.ForkingTCPServer,
    udp: replicas.ForkingUDPServer,
    unix: replicas.ForkingUnixStreamServer,
    "unix-datagram": replicas.ForkingUnixDatagramServer,
  },
};
