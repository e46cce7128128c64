/**
 * The echo service.
 *
 * @module
 */

import { setModule } from "../../workers/runner/targets.ts";
import { answersAll, bytesOf, client } from "../_internal.ts";
import { RequestHandler } from "../request_handler.ts";

/** Memory for each of many short requests keeps the garbage collector busy. */
const SMALL_SIZE = 1_024;
const BUFFER_SIZE = 16_384;

/**
 * Sends back what it receives (RFC 862).
 *
 * Over UDP it gets no packets from ports below 1,024, from its own port and from
 * other servers of this program: two servers would answer each other for ever.
 * Anybody can make it send packets to others, so don't offer it to an open net.
 *
 * @example Usage
 * ```ts
 * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = new TCPServer({ port: 0 }, EchoHandler);
 * server.serveForever();
 * using client = await Deno.connect(server.serverAddress);
 * await client.write(new TextEncoder().encode("ping"));
 * await client.closeWrite();
 * assertEquals(await new Response(client.readable).text(), "ping");
 * ```
 */
export class EchoHandler extends RequestHandler {
  static {
    setModule(this, import.meta.url);
  }

  /** @ignore */
  static readonly [answersAll] = true;

  /**
   * Sends back the packet, or every byte until the client stops sending.
   *
   * @example A packet
   * ```ts
   * import { EchoHandler } from "@socketserver/socketserver";
   * import { sendPacket } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * const [reply] = await sendPacket(EchoHandler, "ping");
   * assertEquals(new TextDecoder().decode(reply![0]), "ping");
   * ```
   */
  override handle(): Promise<void> {
    const { request } = this;
    if (!("packet" in request)) return this.#echo(request);
    const sent: Promise<unknown> = request.socket.send(
      bytesOf(request),
      this[client],
    );
    return sent as Promise<void>;
  }

  async #echo(request: Deno.Conn): Promise<void> {
    const { rfile, wfile, timeout } = this;
    await wfile.flush(); // what setup() wrote
    // A chunk is sent as it came, not copied into a buffer and gathered
    const sink = timeout === null ? request : wfile;
    let buffer = new Uint8Array(SMALL_SIZE);
    for (let n; (n = await rfile.read(buffer)) !== null;) {
      for (let sent = 0; sent < n;) {
        sent += await sink.write(buffer.subarray(sent, n));
      }
      if (n === buffer.length && n < BUFFER_SIZE) {
        buffer = new Uint8Array(BUFFER_SIZE);
      }
    }
  }
}
