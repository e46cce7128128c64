/**
 * The handler for both connections and packets.
 *
 * @module
 */

import {
  abort,
  bytesOf,
  client,
  finish,
  pair,
  release,
  takeReply,
  watchOf,
} from "./_internal.ts";
import { giveBack, NOWHERE } from "./io/_sender.ts";
import { BaseRequestHandler } from "./base_request_handler.ts";
import { BufferedReader } from "./io/buffered_reader.ts";
import { BufferedWriter } from "./io/buffered_writer.ts";
import type { DatagramRequest } from "./request_types.ts";

const DEFAULT_BUFFER_SIZE = 16_384;
const REPLY_OPTIONS = { bufferSize: Number.MAX_SAFE_INTEGER };
const DEFAULTS = {
  rbufsize: -1,
  wbufsize: -1,
  timeout: null,
  disableNagleAlgorithm: false,
  maxLineLength: 65_536,
};

/**
 * Answers a connection or a packet through `rfile` and `wfile`: the same class
 * serves every transport. For a packet, `rfile` reads its bytes, and all writes
 * to `wfile` are sent as one packet after `handle()`.
 *
 * @example One class for TCP and UDP
 * ```ts
 * import { RequestHandler, TCPServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * class Upper extends RequestHandler {
 *   override async handle() {
 *     for await (const line of this.rfile) {
 *       await this.wfile.write(`${line.toUpperCase()}\n`);
 *     }
 *   }
 * }
 *
 * await using server = new TCPServer({ port: 0 }, Upper);
 * server.serveForever();
 * using client = await Deno.connect(server.serverAddress);
 * await client.write(new TextEncoder().encode("hello\n"));
 * await client.closeWrite();
 * assertEquals(await new Response(client.readable).text(), "HELLO\n");
 * ```
 *
 * @typeParam C The type of the server's `context`.
 * @typeParam R The type of the request.
 */
export abstract class RequestHandler<
  C = unknown,
  R extends Deno.Conn | DatagramRequest = Deno.Conn | DatagramRequest,
> extends BaseRequestHandler<R, C> {
  /**
   * Size of `rfile`'s buffer in bytes. -1 means 16,384; 0 never reads ahead.
   */
  declare rbufsize: number;
  /**
   * Size of `wfile`'s buffer in bytes. -1 means 16,384; 0 sends every write at
   * once. The buffer is sent when it is full, before `rfile` waits, at
   * `flush()`, after `handle()`, and at the latest at the end of this turn of
   * the event loop.
   */
  declare wbufsize: number;
  /**
   * Longest wait of a read or write on the connection in milliseconds, counted
   * from the last byte. `null` waits without limit.
   */
  declare timeout: number | null;
  /**
   * Whether to send small writes without waiting for earlier ones (TCP only).
   */
  declare disableNagleAlgorithm: boolean;
  /** Longest line that `rfile` reads, in bytes. */
  declare maxLineLength: number;
  static {
    // Fields of each instance would cost a packet and an idle connection more
    Object.assign(this.prototype, DEFAULTS);
  }

  #rfile: BufferedReader | null = null;
  #wfile: BufferedWriter | null = null;

  /**
   * Reads from the client.
   *
   * @example Usage
   * ```ts
   * import { StreamRequestHandler } from "@socketserver/socketserver";
   * import { connect } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * class Count extends StreamRequestHandler {
   *   override async handle() {
   *     const length = Number(await this.rfile.readLine());
   *     const body = await this.rfile.readExact(length);
   *     await this.wfile.write(`${body.length} bytes\n`);
   *   }
   * }
   *
   * await using client = connect(Count);
   * await client.wfile.write("3\nabc");
   * assertEquals(await client.rfile.readLine(), "3 bytes");
   * ```
   *
   * @returns The reader, made at its first use with the handler's settings.
   */
  get rfile(): BufferedReader {
    return this.#rfile ??= this.#openReader();
  }

  /**
   * Writes to the client. Call its `flush()` before you write to the connection
   * directly or close it.
   *
   * @example Usage
   * ```ts
   * import { StreamRequestHandler } from "@socketserver/socketserver";
   * import { connect } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * class Parts extends StreamRequestHandler {
   *   override async handle() {
   *     await this.wfile.write("one, ");
   *     await this.wfile.write(new Uint8Array([116, 119, 111])); // sent with it
   *   }
   * }
   *
   * await using client = connect(Parts);
   * assertEquals(new TextDecoder().decode((await client.rfile.read())!), "one, two");
   * ```
   *
   * @returns The writer, made at its first use with the handler's settings.
   */
  get wfile(): BufferedWriter {
    return this.#wfile ??= this.#openWriter();
  }

  /**
   * Sets the connection's options. Call it from an overriding method.
   *
   * @example Usage
   * ```ts
   * import { StreamRequestHandler } from "@socketserver/socketserver";
   * import { connect } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * class Greeting extends StreamRequestHandler {
   *   override async setup() {
   *     await super.setup();
   *     await this.wfile.write("welcome\n");
   *   }
   *   override async handle() {
   *     for await (const line of this.rfile) await this.wfile.write(`${line}\n`);
   *   }
   * }
   *
   * await using client = connect(Greeting);
   * assertEquals(await client.rfile.readLine(), "welcome");
   * ```
   */
  override setup(): void | Promise<void> {
    if (this.disableNagleAlgorithm && "setNoDelay" in this.request) {
      (this.request as Deno.TcpConn).setNoDelay(true);
    }
  }

  /**
   * Sends the bytes in `wfile`: the buffer of a connection, or the reply to a
   * packet. Call it from an overriding method.
   *
   * @example Usage
   * ```ts
   * import { StreamRequestHandler } from "@socketserver/socketserver";
   * import { connect } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * class Polite extends StreamRequestHandler {
   *   override async handle() {
   *     await this.rfile.readLine();
   *   }
   *   override async finish() {
   *     await this.wfile.write("goodbye\n");
   *     await super.finish();
   *   }
   * }
   *
   * await using client = connect(Polite);
   * await client.wfile.write("enough\n");
   * assertEquals(await client.rfile.readLine(), "goodbye");
   * ```
   */
  override finish(): void | Promise<void> {
    if (this.#wfile === null) return;
    const { request } = this;
    if (!("packet" in request)) return this.#wfile[finish]();
    const reply = this.#wfile[takeReply]();
    if (reply === null) return;
    return request.socket.send(reply, this[client])
      .then(() => giveBack(new Uint8Array(reply.buffer)));
  }

  /** @ignore */
  override [abort](reason: unknown): void {
    super[abort](reason);
    this.#rfile?.[abort](reason);
    this.#wfile?.[abort](reason);
  }

  /** @ignore */
  override [release](): void | Promise<void> {
    this.#rfile?.[release]();
    // A setup() that threw, or an overridden finish(), leaves bytes
    const rest = this.#wfile?.[finish]();
    if (rest !== undefined) {
      return rest.catch(ignore).then(() => this.#releaseWriter());
    }
    this.#releaseWriter();
  }

  #releaseWriter(): void {
    this.#wfile?.[release]();
    super[release]();
  }

  #openReader(): BufferedReader {
    const { request, rbufsize, maxLineLength, timeout } = this;
    if ("packet" in request) {
      return BufferedReader.from(bytesOf(request), { maxLineLength });
    }
    const bufferSize = rbufsize < 0 ? DEFAULT_BUFFER_SIZE : rbufsize || 1;
    const options = { bufferSize, maxLineLength, timeout };
    const reader = new BufferedReader(request, options);
    if (this.#wfile !== null) reader[pair](this.#wfile);
    return reader;
  }

  #openWriter(): BufferedWriter {
    const { request, wbufsize, timeout } = this;
    if ("packet" in request) return new BufferedWriter(NOWHERE, REPLY_OPTIONS);
    const bufferSize = wbufsize < 0 ? DEFAULT_BUFFER_SIZE : wbufsize;
    const writer = new BufferedWriter(request, { bufferSize, timeout });
    this.#rfile?.[pair](writer);
    const watch = watchOf(request);
    if (watch !== null) watch.writer = writer;
    return writer;
  }
}

function ignore(): void {}
