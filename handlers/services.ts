/**
 * Handlers of well-known services: echo, discard, daytime, chargen, and sums.
 *
 * @module
 */

import { setModule } from "../workers/runner/targets.ts";
import { answersAll, bytesOf, client } from "./_internal.ts";
import { RequestHandler } from "./request_handler.ts";
import { LineTooLongError } from "./errors.ts";

/** Memory for each of many short requests keeps the garbage collector busy. */
const SMALL_SIZE = 1_024;
const BUFFER_SIZE = 16_384;
const DISCARD_SIZE = 65_536;

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
    const buffer = new Uint8Array(DISCARD_SIZE);
    while (await this.rfile.read(buffer) !== null);
  }
}

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

const INTEGER_REGEXP = /^[+-]?\d+$/;

/**
 * Adds two integers per line. It answers each line with their sum or an error,
 * and the connection goes on:
 *
 * ```text
 * 2 3                      5
 * 2                        SyntaxError: expected two integers, got 1
 * 2 x                      TypeError: "x" is not an integer
 * 9007199254740991 1       RangeError: the sum 9007199254740992 is out of range
 * ```
 *
 * Whatever happens, `finish()` is called and the connection is closed. Over UDP
 * it gets no packets of servers, as {@linkcode EchoHandler} gets none.
 *
 * @example Usage
 * ```ts
 * import { SumHandler, TCPServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = new TCPServer({ port: 0 }, SumHandler);
 * server.serveForever();
 * using client = await Deno.connect(server.serverAddress);
 * await client.write(new TextEncoder().encode("2 3\n2 x\n"));
 * await client.closeWrite();
 * assertEquals(
 *   await new Response(client.readable).text(),
 *   '5\nTypeError: "x" is not an integer\n',
 * );
 * ```
 */
export class SumHandler extends RequestHandler {
  /** @ignore */
  static readonly [answersAll] = true;

  /**
   * Answers line by line.
   *
   * @example A packet of two lines
   * ```ts
   * import { SumHandler } from "@socketserver/socketserver";
   * import { sendPacket } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * const [reply] = await sendPacket(SumHandler, "2 3\n4 5\n");
   * assertEquals(new TextDecoder().decode(reply![0]), "5\n9\n");
   * ```
   */
  override async handle(): Promise<void> {
    for (let answer; (answer = await this.#answerLine()) !== null;) {
      await this.wfile.write(`${answer}\n`);
    }
  }

  async #answerLine(): Promise<string | null> {
    try {
      const line = await this.rfile.readLine();
      return line === null ? null : String(add(line));
    } catch (error) {
      if (isLesson(error)) return `${error.name}: ${error.message}`;
      throw error;
    }
  }
}

function add(line: string): bigint {
  const words = line.split(/\s+/).filter((word) => word !== "");
  if (words.length !== 2) {
    throw new SyntaxError(`expected two integers, got ${words.length}`);
  }
  const [a, b] = words.map((word) => {
    if (INTEGER_REGEXP.test(word)) return BigInt(word.replace("+", ""));
    throw new TypeError(`${JSON.stringify(word)} is not an integer`);
  });
  const sum = a! + b!;
  if (sum > Number.MAX_SAFE_INTEGER || sum < Number.MIN_SAFE_INTEGER) {
    throw new RangeError(`the sum ${sum} is out of range`);
  }
  return sum;
}

function isLesson(error: unknown): error is Error {
  return error instanceof SyntaxError || error instanceof TypeError ||
    error instanceof RangeError || error instanceof LineTooLongError;
}

for (
  const Handler of [
    EchoHandler,
    DiscardHandler,
    DaytimeHandler,
    ChargenHandler,
    SumHandler,
  ]
) setModule(Handler, import.meta.url);
