/**
 * The clock that a test advances.
 *
 * @module
 */

/**
 * The clock of one connection in memory. It moves only by `advance()`.
 *
 * @example Usage
 * ```ts
 * import { connect } from "@socketserver/socketserver/testing";
 * import { StreamRequestHandler } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * class Patient extends StreamRequestHandler {
 *   override timeout = 60_000;
 *   override async handle() {
 *     await this.rfile.readLine().catch(() => this.wfile.write("too slow"));
 *   }
 * }
 *
 * await using client = connect(Patient);
 * await client.clock.advance(60_000); // takes no real time
 * assertEquals(await client.rfile.readLine(), "too slow");
 * ```
 */
export class TestClock {
  #now = 0;
  #timers: Set<{ at: number; run: () => void }> = new Set();

  /**
   * Returns the time.
   *
   * @example Usage
   * ```ts
   * import { connect } from "@socketserver/socketserver/testing";
   * import { EchoHandler } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * await using client = connect(EchoHandler);
   * assertEquals(client.clock.now(), 0);
   * ```
   *
   * @returns Milliseconds since the connection was made.
   */
  now(): number {
    return this.#now;
  }

  /** @ignore */
  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /**
   * Advances the time, and lets the handler do its work of that time.
   *
   * @example Usage
   * ```ts
   * import { connect } from "@socketserver/socketserver/testing";
   * import { EchoHandler } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * await using client = connect(EchoHandler);
   * await client.clock.advance(3_600_000);
   * assertEquals(client.clock.now(), 3_600_000);
   * ```
   *
   * @param ms The time to add, in milliseconds.
   */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (let timer; (timer = this.#next(end)) !== undefined;) {
      this.#now = timer.at;
      this.#timers.delete(timer);
      timer.run();
      await settle();
    }
    this.#now = end;
  }

  #next(end: number): { at: number; run: () => void } | undefined {
    return [...this.#timers].filter(({ at }) => at <= end)
      .sort((a, b) => a.at - b.at)[0];
  }
}

/** Only some configurations have its type. */
const scope = globalThis as unknown as {
  setImmediate(callback: () => void): unknown;
};

/** Lets everything finish that needs no time. */
async function settle(): Promise<void> {
  for (let turns = 0; turns < 3; turns++) {
    await new Promise<void>((resolve) => scope.setImmediate(resolve));
  }
}
