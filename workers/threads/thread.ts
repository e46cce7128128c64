import { Activity } from "./_activity_base.ts";
import type { ActivityOptions } from "./_options.ts";

/** Options of a {@linkcode Thread}. */
export type ThreadOptions<
  T = unknown,
  A extends readonly unknown[] = never[],
> = ActivityOptions<T, A>;

/**
 * Code that runs in a thread of its own, a `Worker`: Python's
 * `threading.Thread`.
 *
 * A thread shares no variables with others: its module is loaded anew there,
 * and arguments and the result are copied, but for locks and
 * `SharedArrayBuffer`s, which are shared. Put the code that starts threads
 * under `if (import.meta.main)`.
 *
 * A thread ends when its target returns and the threads that it started, but
 * for daemons, have ended. Two things about threads can't be helped, and are
 * reasons to take a {@linkcode Process}: an endless loop can't be stopped, and
 * keeps the program from ending; a thread that runs out of memory takes the
 * program with it.
 *
 * @typeParam T What the target returns.
 * @typeParam A The target's parameters, which `args` is checked against.
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
 * @example What is refused
 * ```ts
 * import { HandlerImportError, Thread } from "@socketserver/socketserver";
 * import { assertThrows } from "@std/assert";
 *
 * function work() {}
 *
 * assertThrows(() => new Thread({ target: work }), HandlerImportError);
 * assertThrows(() => new Thread({ target: () => {} }), TypeError);
 * ```
 */
export class Thread<
  T = unknown,
  A extends readonly unknown[] = never[],
> extends Activity<T> {
  /** Says that it is a thread. */
  get kind(): "thread" {
    return "thread";
  }

  /**
   * Constructs a thread that has not been started.
   *
   * @param options What to run, and how.
   * @throws {TypeError} If an option has the wrong shape, or the target has no
   * name.
   * @throws {HandlerImportError} If no module was given.
   */
  constructor(options: ThreadOptions<T, A> = {} as ThreadOptions<T, A>) {
    super("thread", options as ThreadOptions<T>);
  }
}
