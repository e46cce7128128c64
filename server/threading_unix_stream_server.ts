/**
 * The connections server that handles its requests in threads.
 *
 * @module
 */

import type { RequestHandlerClass } from "../handlers/base_request_handler.ts";
import { setHome } from "../workers/threads/_class_registry.ts";
import { prepare, role } from "./_internal.ts";
import { prepareReplicas } from "./replicas/replicas.ts";
import type { UnixAddress } from "./addresses.ts";
import type { ReplicaOptions } from "./options.ts";
import { UnixStreamServer } from "./unix_stream_server.ts";

/**
 * Serves connections on a Unix socket in threads, each with an event loop of its own. Needs what
 * {@linkcode UnixStreamServer} needs, and `--allow-read` for the modules.
 *
 * The server receives, and relays to the thread with the fewest open requests.
 *
 * @example Usage
 * ```ts
 * import { EchoHandler, ThreadingUnixStreamServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * const server = new ThreadingUnixStreamServer({ path: `${dir}/s` }, EchoHandler);
 * server.serveForever();
 * const client = await Deno.connect(server.serverAddress);
 * await client.write(new TextEncoder().encode("ping"));
 * await client.closeWrite();
 * assertEquals(await new Response(client.readable).text(), "ping");
 *
 * await server.serverClose();
 * await Deno.remove(dir);
 * ```
 *
 * @typeParam C The type of `context`.
 */
export class ThreadingUnixStreamServer<C = unknown>
  extends UnixStreamServer<C> {
  static {
    setHome(this, import.meta.url);
  }

  /**
   * Constructs a server and binds its address; the threads start when it
   * begins to serve.
   *
   * @param address The path.
   * @param RequestHandlerClass The class of the handlers.
   * @param options Where the classes lie, how many threads, the limits.
   * @throws {TypeError} If an argument is of the wrong shape.
   * @throws {RangeError} If a number is out of its range.
   * @throws {HandlerImportError} If a thread could not import the classes.
   * @throws {Deno.errors.AddrInUse} If somebody listens there already.
   */
  constructor(
    address: UnixAddress,
    RequestHandlerClass: RequestHandlerClass<Deno.UnixConn, C>,
    options: ReplicaOptions<C> = {},
  ) {
    super(address, RequestHandlerClass, options);
  }

  /**
   * Puts a new thread in the place of each, one after the other, while the
   * server goes on.
   */
  async recycle(): Promise<void> {
    await this[role]?.recycle?.();
  }

  /** @ignore */
  override [prepare](options: ReplicaOptions<C>): void {
    prepareReplicas(this, "thread", options);
  }
}
