/**
 * The daytime service.
 *
 * @module
 */

import { setModule } from "../../workers/runner/targets.ts";
import { answersAll } from "../_internal.ts";
import { RequestHandler } from "../request_handler.ts";

/**
 * Sends the date and the time in UTC, in ISO 8601 format, and ends (RFC 867).
 *
 * Over UDP it gets no packets from ports below 1,024, from its own port and from
 * other servers of this program: two servers would answer each other for ever.
 * Anybody can make it send packets to others, so don't offer it to an open net.
 *
 * @example Usage
 * ```ts
 * import { DaytimeHandler, TCPServer } from "@socketserver/socketserver";
 * import { assertMatch } from "@std/assert";
 *
 * await using server = new TCPServer({ port: 0 }, DaytimeHandler);
 * server.serveForever();
 * using client = await Deno.connect(server.serverAddress);
 * assertMatch(await new Response(client.readable).text(), /^\d{4}-.*Z\r\n$/);
 * ```
 */
export class DaytimeHandler extends RequestHandler {
  static {
    setModule(this, import.meta.url);
  }

  /** @ignore */
  static readonly [answersAll] = true;

  /**
   * Sends one line.
   *
   * @example One line
   * ```ts
   * import { DaytimeHandler } from "@socketserver/socketserver";
   * import { connect } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * await using client = connect(DaytimeHandler);
   * const line = (await client.rfile.readLine())!;
   * assertEquals(new Date(line).toISOString(), line);
   * assertEquals(await client.rfile.readLine(), null);
   * ```
   */
  override async handle(): Promise<void> {
    await this.wfile.write(`${new Date().toISOString()}\r\n`);
  }
}
