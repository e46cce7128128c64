/**
 * The UDP packets server that handles its requests in child processes.
 *
 * @module
 */

import type { RequestHandlerClass } from "../handlers/base_request_handler.ts";
import type { DatagramRequest } from "../handlers/datagram_request.ts";
import { setHome } from "../workers/threads/_class_registry.ts";
import { prepare, role } from "./_internal.ts";
import { prepareReplicas } from "./replicas/replicas.ts";
import type { TcpAddress } from "./addresses.ts";
import type { ReplicaOptions } from "./options.ts";
import { UDPServer } from "./udp_server.ts";

/**
 * Serves UDP packets in child processes, each with an event loop of its own. Needs what
 * {@linkcode UDPServer} needs, and `--allow-run`, and `--allow-read` and `--allow-write` for the temporary directory.
 *
 * The server receives, and relays to the process with the fewest open requests.
 *
 * @example Usage
 * ```ts
 * import { EchoHandler, ForkingUDPServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = new ForkingUDPServer({ port: 0 }, EchoHandler);
 * server.serveForever();
 * const client = Deno.listenDatagram({
 *   transport: "udp",
 *   hostname: "127.0.0.1",
 *   port: 0,
 * });
 * await client.send(new Uint8Array([1, 2]), server.serverAddress);
 * const [reply] = await client.receive();
 * assertEquals(reply, new Uint8Array([1, 2]));
 * client.close();
 * ```
 *
 * @typeParam C The type of `context`.
 */
export class ForkingUDPServer<C = unknown> extends UDPServer<C> {
  static {
    setHome(this, import.meta.url);
  }

  /**
   * Constructs a server and binds its address; the child processes start when it
   * begins to serve.
   *
   * @param address The interface and the port.
   * @param RequestHandlerClass The class of the handlers.
   * @param options Where the classes lie, how many child processes, the limits.
   * @throws {TypeError} If an argument is of the wrong shape.
   * @throws {RangeError} If a number is out of its range.
   * @throws {HandlerImportError} If a process could not import the classes.
   * @throws {Deno.errors.AddrInUse} If somebody listens there already.
   */
  constructor(
    address: TcpAddress,
    RequestHandlerClass: RequestHandlerClass<DatagramRequest, C>,
    options: ReplicaOptions<C> = {},
  ) {
    super(address, RequestHandlerClass, options);
  }

  /**
   * Puts a new process in the place of each, one after the other, while the
   * server goes on.
   */
  async recycle(): Promise<void> {
    await this[role]?.recycle?.();
  }

  /** @ignore */
  override [prepare](options: ReplicaOptions<C>): void {
    prepareReplicas(this, "process", options);
  }
}
