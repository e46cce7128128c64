/**
 * The character generator service.
 *
 * @module
 */

import { setModule } from "../../workers/runner/targets.ts";
import { answersAll } from "../_internal.ts";
import { RequestHandler } from "../request_handler.ts";

const FIRST_CHARACTER = 32;
const CHARACTER_COUNT = 95;
const LINE_LENGTH = 72;
const MAX_REPLY_LENGTH = 512;

let pattern: Uint8Array | undefined;

/**
 * Sends characters until the client leaves. Answers a packet with 0 to 512
 * characters (RFC 864).
 *
 * Over UDP it gets no packets from ports below 1,024, from its own port and from
 * other servers of this program: two servers would answer each other for ever.
 * Anybody can make it send packets to others, so don't offer it to an open net.
 *
 * @example Usage
 * ```ts
 * import { ChargenHandler, TCPServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = new TCPServer({ port: 0 }, ChargenHandler);
 * server.serveForever();
 * using client = await Deno.connect(server.serverAddress);
 * const line = new Uint8Array(8);
 * await client.read(line);
 * assertEquals(new TextDecoder().decode(line), " !\"#$%&'");
 * ```
 */
export class ChargenHandler extends RequestHandler {
  static {
    setModule(this, import.meta.url);
  }

  /** @ignore */
  static readonly [answersAll] = true;

  /**
   * Sends lines of 72 characters, each shifted by one.
   *
   * @example Two lines
   * ```ts
   * import { ChargenHandler } from "@socketserver/socketserver";
   * import { connect } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * await using client = connect(ChargenHandler);
   * const first = (await client.rfile.readLine())!;
   * const second = (await client.rfile.readLine())!;
   * assertEquals(second.slice(0, -1), first.slice(1));
   * ```
   */
  override async handle(): Promise<void> {
    if ("packet" in this.request) {
      const length = Math.floor(Math.random() * (MAX_REPLY_LENGTH + 1));
      await this.wfile.write(getPattern().subarray(0, length));
      return;
    }
    while (!this.signal.aborted) await this.wfile.write(getPattern());
  }
}

/** The 95 lines of the pattern; then it repeats. */
function getPattern(): Uint8Array {
  return pattern ??= makePattern();
}

function makePattern(): Uint8Array {
  let text = "";
  for (let first = 0; first < CHARACTER_COUNT; first++) {
    for (let column = 0; column < LINE_LENGTH; column++) {
      const character = (first + column) % CHARACTER_COUNT;
      text += String.fromCharCode(FIRST_CHARACTER + character);
    }
    text += "\r\n";
  }
  return new TextEncoder().encode(text);
}
