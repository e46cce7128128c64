/**
 * The pipe between two threads or processes.
 *
 * @module
 */

import { register } from "../codec/share.ts";
import type { WaitOptions } from "../locks/wait_options.ts";
import { QueueClosedError } from "../base/errors.ts";
import { SharedQueue, type SharedQueueOptions } from "./shared_queue.ts";

interface Queues {
  incoming: SharedQueue<unknown>;
  outgoing: SharedQueue<unknown>;
}

/**
 * One end of a {@linkcode Pipe}. The other end receives what it sends. Pass it
 * in the `args` of a thread or a process. When the processes that have it have
 * ended, the pipe is closed: the other end receives what was sent before, then
 * gets a `QueueClosedError`.
 *
 * @typeParam S The type of values sent.
 * @typeParam R The type of values received.
 *
 * @example A process that answers over a pipe
 * ```ts ignore
 * import { Pipe, type PipeConnection, Process } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * export async function double(pipe: PipeConnection<number, number>) {
 *   for await (const n of pipe) await pipe.send(n * 2);
 * }
 *
 * if (import.meta.main) {
 *   const [ours, theirs] = Pipe<number, number>();
 *   const process = new Process({
 *     target: double,
 *     args: [theirs],
 *     module: import.meta.url,
 *   });
 *   process.start();
 *   await ours.send(21);
 *   assertEquals(await ours.recv(), 42);
 *   ours.close();
 *   await process.join();
 * }
 * ```
 */
export class PipeConnection<S = unknown, R = S> implements Disposable {
  #queues: Queues;

  static {
    register<PipeConnection>(PipeConnection, {
      composite: true,
      blank: () => new PipeConnection({} as Queues),
      record: (connection) => ({ ...connection.#queues }),
      fill: (connection, queues: Queues) => {
        connection.#queues = queues;
      },
    });
  }

  /**
   * Constructs one end. Use {@linkcode Pipe}, which makes both.
   *
   * @param queues The queues to receive from and send to.
   */
  constructor(queues: {
    incoming: SharedQueue<unknown>;
    outgoing: SharedQueue<unknown>;
  }) {
    this.#queues = queues;
  }

  /**
   * Sends a value. Waits while the pipe is full.
   *
   * @param value The value. It is copied.
   * @param options How long to wait.
   * @throws {QueueClosedError} If either end was closed.
   * @throws {QueueFullError} If there was no room in time.
   *
   * @example Usage
   * ```ts
   * import { Pipe } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const [a, b] = Pipe<string>();
   * await a.send("hello");
   * assertEquals(await b.recv(), "hello");
   * ```
   */
  async send(value: S, options?: WaitOptions): Promise<void> {
    await this.#queues.outgoing.put(value, options);
  }

  /**
   * Receives the next value. Waits until there is one.
   *
   * @param options How long to wait.
   * @returns The value.
   * @throws {QueueClosedError} If either end was closed and nothing is left.
   * @throws {QueueEmptyError} If nothing came in time.
   *
   * @example Usage
   * ```ts
   * import { Pipe } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const [a, b] = Pipe<number>();
   * await a.send(1);
   * assertEquals(await b.recv({ timeout: 1_000 }), 1);
   * ```
   */
  async recv(options?: WaitOptions): Promise<R> {
    return await this.#queues.incoming.get(options) as R;
  }

  /**
   * Closes both directions. The other end can still receive what was sent
   * before.
   *
   * @example Usage
   * ```ts
   * import { Pipe, QueueClosedError } from "@socketserver/socketserver";
   * import { assertEquals, assertRejects } from "@std/assert";
   *
   * const [a, b] = Pipe<number>();
   * await a.send(1);
   * a.close();
   * assertEquals(await b.recv(), 1);
   * await assertRejects(() => b.recv(), QueueClosedError);
   * ```
   */
  close(): void {
    this.#queues.incoming.close();
    this.#queues.outgoing.close();
  }

  /**
   * Closes both directions, as `close()` does.
   *
   * @example Usage
   * ```ts
   * import { Pipe, QueueClosedError } from "@socketserver/socketserver";
   * import { assertRejects } from "@std/assert";
   *
   * const [a, b] = Pipe<string>();
   * {
   *   using _closing = a;
   * }
   * await assertRejects(() => b.recv(), QueueClosedError);
   * ```
   */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Receives values until either end is closed.
   *
   * @returns The values.
   *
   * @example Usage
   * ```ts
   * import { Pipe } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const [a, b] = Pipe<number>();
   * await a.send(1);
   * await a.send(2);
   * a.close();
   * assertEquals(await Array.fromAsync(b), [1, 2]);
   * ```
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<R, void, void> {
    try {
      for (;;) yield await this.recv();
    } catch (error) {
      if (!(error instanceof QueueClosedError)) throw error;
    }
  }
}

/**
 * Makes a pipe between two threads or processes: Python's
 * `multiprocessing.Pipe()`.
 *
 * @typeParam A The type of values that the first end sends.
 * @typeParam B The type of values that the second end sends.
 * @param options The bounds of each direction.
 * @returns Both ends.
 *
 * @example Usage
 * ```ts
 * import { Pipe } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const [a, b] = Pipe<string, number>();
 * await a.send("how many?");
 * assertEquals(await b.recv(), "how many?");
 * await b.send(3);
 * assertEquals(await a.recv(), 3);
 * ```
 */
export function Pipe<A = unknown, B = A>(
  options?: SharedQueueOptions,
): [PipeConnection<A, B>, PipeConnection<B, A>] {
  const there = new SharedQueue<unknown>(options);
  const back = new SharedQueue<unknown>(options);
  return [
    new PipeConnection<A, B>({ incoming: back, outgoing: there }),
    new PipeConnection<B, A>({ incoming: there, outgoing: back }),
  ];
}
