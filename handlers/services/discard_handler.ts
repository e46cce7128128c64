/**
 * The discard service.
 *
 * @module
 */

import { setModule } from "../../workers/runner/targets.ts";
import { RequestHandler } from "../request_handler.ts";

const BUFFER_SIZE = 65_536;

/**
 * Discards what it receives and never answers (RFC 863).
 *
 * @example Usage
 * ```ts
 * import { DiscardHandler, TCPServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = new TCPServer({ port: 0 }, DiscardHandler);
 * server.serveForever();
 * using client = await Deno.connect(server.serverAddress);
 * await client.write(new TextEncoder().encode("gone"));
 * await client.closeWrite();
 * assertEquals(await new Response(client.readable).text(), "");
 * ```
 */
export class DiscardHandler extends RequestHandler {
  static {
    setModule(this, import.meta.url);
  }

  /**
   * Reads until the client stops sending.
   *
   * @example Nothing comes back
   * ```ts
   * import { DiscardHandler } from "@socketserver/socketserver";
   * import { connect } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * await using client = connect(DiscardHandler);
   * await client.wfile.write("gone");
   * await client.closeWrite();
   * assertEquals(await client.rfile.read(), null);
   * ```
   */
  override async handle(): Promise<void> {
    this.endRequest(); // there is no answer that a close could cut off
    const buffer = new Uint8Array(BUFFER_SIZE);
    while (await this.rfile.read(buffer) !== null);
  }
}
