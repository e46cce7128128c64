/**
 * The thread, the current one, and the list of live ones.
 *
 * @module
 */

import { Activity, attach } from "./_activity_base.ts";
import type { ThreadOptions } from "./thread_options.ts";
import {
  context,
  type Identity,
  MAIN_IDENT,
  type Started,
} from "../runner/context.ts";

export type { ThreadOptions } from "./thread_options.ts";

/**
 * Code that runs in its own thread, a `Worker`: Python's `threading.Thread`.
 *
 * Threads share no variables. Each loads its module anew; arguments and results
 * are copied. Only locks and `SharedArrayBuffer`s are shared. Put the code that
 * starts threads under `if (import.meta.main)`.
 *
 * A thread ends when its target has returned or thrown, and the threads and
 * processes that it started, except daemons, have ended. Use a {@linkcode Process} if the code may loop
 * endlessly or run out of memory. An endless loop in a thread can't be stopped
 * and keeps the program from ending; a thread that runs out of memory ends the
 * program.
 *
 * @typeParam T The type of the result.
 * @typeParam A The parameters of the target; `args` is checked against them.
 *
 * @example A thread that computes
 * ```ts ignore
 * import { Thread } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * export function sum(a: number, b: number): number {
 *   return a + b;
 * }
 *
 * if (import.meta.main) {
 *   const thread = new Thread({
 *     target: sum,
 *     args: [1, 2],
 *     module: import.meta.url,
 *   });
 *   thread.start();
 *   assertEquals(await thread.result, 3);
 *   assertEquals(await thread.join(), true);
 * }
 * ```
 *
 * @example Twenty threads, joined in the time of the slowest
 * ```ts ignore
 * import { Thread } from "@socketserver/socketserver";
 *
 * export async function sleep(duration: number): Promise<void> {
 *   await new Promise((resolve) => setTimeout(resolve, duration));
 * }
 *
 * if (import.meta.main) {
 *   const threads: Thread[] = [];
 *   for (let number = 0; number < 20; number++) {
 *     const thread = new Thread({
 *       target: sleep,
 *       args: [1_000],
 *       module: import.meta.url,
 *     });
 *     thread.start();
 *     threads.push(thread);
 *   }
 *   for (const thread of threads) await thread.join();
 * }
 * ```
 *
 * @example A thread by subclass
 * ```ts ignore
 * import { Thread } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * export class Doubler extends Thread<number> {
 *   static readonly module = import.meta.url;
 *   constructor(readonly number: number) {
 *     super();
 *   }
 *   override run(): number {
 *     return this.number * 2;
 *   }
 * }
 *
 * if (import.meta.main) {
 *   const thread = new Doubler(21);
 *   thread.start();
 *   assertEquals(await thread.result, 42);
 * }
 * ```
 *
 * @example Targets that are refused
 * ```ts
 * import { ModuleImportError, Thread } from "@socketserver/socketserver";
 * import { assertThrows } from "@std/assert";
 *
 * function work() {}
 *
 * assertThrows(() => new Thread({ target: work }), ModuleImportError);
 * assertThrows(() => new Thread({ target: () => {} }), TypeError);
 * ```
 */
export class Thread<
  T = unknown,
  A extends readonly unknown[] = never[],
> extends Activity<T> {
  /**
   * The kind.
   *
   * @example Usage
   * ```ts
   * import { mainThread } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * assertEquals(mainThread().kind, "thread");
   * ```
   */
  get kind(): "thread" {
    return "thread";
  }

  /**
   * Constructs a thread that is not started.
   *
   * @param options The target and its settings.
   * @throws {TypeError} If an option has the wrong shape, or the target has no
   * name.
   * @throws {ModuleImportError} If no module was given.
   */
  constructor(options: ThreadOptions<T, A> = {} as ThreadOptions<T, A>) {
    super("thread", options as ThreadOptions<T>);
  }
}

context.attach.thread = (identity, Class) => attach(Thread, identity, Class);

const MAIN: Identity = {
  ident: MAIN_IDENT,
  name: "MainThread",
  daemon: false,
  args: [],
  fields: {},
};

/**
 * Returns the main thread of this process.
 *
 * In another thread the object has the main thread's name and number. You can't
 * join it from there.
 *
 * @returns The main thread.
 *
 * @example Usage
 * ```ts
 * import { mainThread } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(mainThread().name, "MainThread");
 * ```
 */
export function mainThread(): Thread {
  return (context.main ??= attach(Thread, MAIN)) as Thread;
}

/**
 * Returns the thread that this code runs in.
 *
 * In a started thread, it is the object that `run()` was called on. It has the
 * name, number and arguments of the original.
 *
 * @returns The current thread.
 *
 * @example Usage
 * ```ts
 * import { currentThread, mainThread } from "@socketserver/socketserver";
 * import { assertStrictEquals } from "@std/assert";
 *
 * assertStrictEquals(currentThread(), mainThread());
 * ```
 */
export function currentThread(): Thread {
  if (context.isMain) return mainThread();
  return (context.current ??= attach(Thread, context.identity!)) as Thread;
}

function isThread(started: Started): started is Thread {
  return started.kind === "thread";
}

/**
 * Lists the live threads that this one knows: itself and those that it started.
 *
 * @returns The threads, the current one first.
 *
 * @example Usage
 * ```ts
 * import { currentThread, enumerate } from "@socketserver/socketserver";
 * import { assertStrictEquals } from "@std/assert";
 *
 * assertStrictEquals(enumerate()[0], currentThread());
 * ```
 */
export function enumerate(): Thread[] {
  return [currentThread(), ...[...context.started].filter(isThread)];
}

/**
 * Counts the threads that {@linkcode enumerate} lists.
 *
 * @returns The count.
 *
 * @example Usage
 * ```ts
 * import { activeCount } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(activeCount(), 1);
 * ```
 */
export function activeCount(): number {
  return enumerate().length;
}
