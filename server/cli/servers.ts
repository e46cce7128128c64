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

const CLASSES = {
  TCPServer,
  UDPServer,
  UnixStreamServer,
  UnixDatagramServer,
  ...replicas,
};
const PREFIXES = {
  "event-loop": "",
  threading: "Threading",
  forking: "Forking",
} as const;
const NAMES = {
  tcp: "TCPServer",
  udp: "UDPServer",
  unix: "UnixStreamServer",
  "unix-datagram": "UnixDatagramServer",
} as const;

/** The server class for a mode and a transport. */
export function serverClass(mode: Mode, transport: Transport): ServerClass {
  return CLASSES[`${PREFIXES[mode]}${NAMES[transport]}`];
}
