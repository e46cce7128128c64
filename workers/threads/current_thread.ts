/**
 * The current thread, the main thread, and the list of live ones.
 *
 * @module
 */

import { attach } from "./_activity_base.ts";
import {
  context,
  type Identity,
  MAIN_IDENT,
  type Started,
} from "../runner/context.ts";
import { Thread } from "./thread.ts";

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
