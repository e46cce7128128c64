/**
 * The client's end of a connection to a handler.
 *
 * @module
 */

import { abort } from "../../handlers/_internal.ts";
import type { BaseRequestHandler } from "../../handlers/base_request_handler.ts";
import { BufferedReader } from "../../handlers/io/buffered_reader.ts";
import { BufferedWriter } from "../../handlers/io/buffered_writer.ts";
import { runHandler } from "../core/request.ts";
import { watchConn } from "../core/watched_conn.ts";
import { type Line, MemoryConn } from "./memory_conn.ts";
import type { TestClock } from "./test_clock.ts";

/** Runs a handler, and talks to it. */
export class LocalClient<H extends BaseRequestHandler> extends MemoryConn
  implements AsyncDisposable {
  readonly handler: H;
  readonly ended: Promise<void>;
  readonly clock: TestClock;
  readonly rfile: BufferedReader = new BufferedReader(this);
  readonly wfile: BufferedWriter = new BufferedWriter(this);
  #conn: MemoryConn;

  constructor(line: Line, conn: MemoryConn, clock: TestClock, handler: H) {
    super(line, "client");
    this.#conn = conn;
    this.handler = handler;
    this.clock = clock;
    this.ended = runHandler(handler).finally(() => conn[Symbol.dispose]());
    this.ended.catch(() => {}); // not every test looks
  }

  drain(): void {
    watchConn(this.#conn)?.drain(Infinity);
  }

  abort(reason: unknown = new DOMException("Aborted", "AbortError")): void {
    this.handler[abort]?.(reason);
    this.#conn[Symbol.dispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
    await this.ended.catch(() => {});
  }
}
