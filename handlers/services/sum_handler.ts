/**
 * The exception lesson as a service.
 *
 * @module
 */

import { setModule } from "../../workers/runner/targets.ts";
import { LineTooLongError } from "../errors.ts";
import { answersAll } from "../_internal.ts";
import { RequestHandler } from "../request_handler.ts";

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
  static {
    setModule(this, import.meta.url);
  }

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
