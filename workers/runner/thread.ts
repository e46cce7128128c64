/**
 * The runner in a thread, a `Worker`.
 *
 * @module
 */

import type { RunnerExit } from "../base/errors.ts";
import { endThread, enterLiving, livingRecord } from "../locks/_living.ts";
import { stop } from "../locks/_checkpoint.ts";
import { imports } from "./context.ts";
import { entryUrl, launchFlags, reserveDescriptors } from "./launch.ts";
import {
  FRAME,
  type Frame,
  ProtocolError,
  RunnerDecoder,
  told,
} from "../line/dialect.ts";
import {
  Inbox,
  Lifecycle,
  type Runner,
  type RunnerOptions,
  webLocks,
} from "./runner.ts";
import type { WorkerStart } from "./thread_entry.ts";

const ENTRY_URL = new URL("./thread_entry.ts", import.meta.url).href;
/** How long a terminated thread may take before it counts as stuck. */
const STUCK_AFTER = 500;
/** How often an unreferenced thread is looked after. */
const POLL_INTERVAL = 50;
/** After this many turns without a message there are no more. */
const QUIET_TURNS = 3;

type RefMethod = (this: Worker, referenced: boolean) => void;

/** The methods of Deno's ports that its types lack. */
interface RefPort extends MessagePort {
  ref(): void;
  unref(): void;
}

/**
 * Finds what Deno's own `node:worker_threads` uses to let the program end
 * while a worker lives: a method of one argument under a private symbol.
 *
 * @param prototype Where to look.
 * @returns The method, or `undefined` if a worker can't be let go of.
 */
export function findRefMethod(
  prototype: object = Worker.prototype,
): RefMethod | undefined {
  if (!("unref" in MessagePort.prototype)) return undefined;
  for (const symbol of Object.getOwnPropertySymbols(prototype)) {
    const value = Object.getOwnPropertyDescriptor(prototype, symbol)?.value;
    if (
      typeof value === "function" && value.length === 1 &&
      // The symbol has no name, so the method is recognized by its effect
      Function.prototype.toString.call(value).includes("unrefOpPromise")
    ) {
      return value as RefMethod;
    }
  }
  return undefined;
}

const REF_METHOD = findRefMethod();

/** A runner in a `Worker`. */
export class WorkerRunner extends Inbox implements Runner {
  readonly kind = "thread";
  readonly backlog = 0;
  #lifecycle = new Lifecycle("thread");
  readonly ready: Promise<void> = this.#lifecycle.ready;
  readonly exited: Promise<RunnerExit> = this.#lifecycle.exited;
  #decoder = new RunnerDecoder({
    message: (message) => this.deliver(message),
    hello: () => {
      this.#greeted = true;
      this.#hasStarted();
      this.#awaitDeath();
    },
    ready: () => this.#lifecycle.becomeReady(),
    leave: (exit) => this.#leave(exit),
  });
  #stopWords = new Int32Array(new SharedArrayBuffer(4));
  #living = enterLiving();
  // With Deno's `--seed`, all threads have the same random numbers
  #lock = `socketserver:${crypto.randomUUID()}:${this.#living}`;
  #worker: Worker;
  #line: RefPort;
  #received = 0;
  #exit: RunnerExit | null = null;
  #gone = false;
  #referenced = true;
  #waiting: AbortController | null = null;
  #greeted = false;
  #hasStarted: () => void;
  #letGoTimer: ReturnType<typeof setTimeout> | undefined;
  #pollTimer: ReturnType<typeof setTimeout> | undefined;
  #stuckTimer: ReturnType<typeof setTimeout> | undefined;

  /**
   * Starts a thread.
   *
   * @param options What runs there.
   */
  constructor(options: RunnerOptions) {
    super((error) => this.fail(error));
    assertMayStart(options);
    this.#hasStarted = reserveDescriptors(options.name ?? "");
    const worker = createWorker(options);
    const { port1, port2 } = new MessageChannel();
    this.#worker = worker;
    this.#line = port1 as RefPort;
    worker.onerror = (event) => this.#failed(event);
    port1.onmessage = (event) => this.#receive(event.data);
    port1.onmessageerror = () =>
      this.fail(new ProtocolError("A message can't be read"));
    const start: WorkerStart = {
      line: port2,
      lock: this.#lock,
      stopWords: this.#stopWords,
      living: livingRecord(this.#living),
      data: options.data,
      launchFlags: launchFlags(),
      importing: imports.chain,
      isConfined: told.isConfined === true ||
        (options.permissions ?? "inherit") !== "inherit",
    };
    try {
      worker.postMessage(start, [port2]);
    } catch (error) {
      this.#hasStarted();
      worker.terminate();
      port1.close();
      port2.close();
      throw error;
    }
  }

  post(message: unknown, transfer?: Transferable[]): void {
    if (this.#exit !== null || this.#gone) return;
    const frame: Frame = [FRAME.message, message];
    if (transfer === undefined) this.#line.postMessage(frame);
    else this.#line.postMessage(frame, transfer);
  }

  terminate(): void {
    if (!this.#gone) this.#decoder.leave({ code: 1, reason: "terminated" });
  }

  kill(): void {
    this.terminate();
  }

  fail(error: unknown): void {
    this.#decoder.fail(error);
  }

  ref(): void {
    this.#refer(true);
  }

  unref(): boolean {
    return this.#refer(false);
  }

  #refer(referenced: boolean): boolean {
    if (REF_METHOD === undefined) return false;
    if (this.#referenced !== referenced && !this.#lifecycle.ended) {
      this.#referenced = referenced;
      REF_METHOD.call(this.#worker, referenced);
      this.#line[referenced ? "ref" : "unref"]();
      this.#awaitDeath();
    }
    return true;
  }

  #receive(frame: unknown): void {
    this.#received++;
    const [kind, value] = Array.isArray(frame) ? frame : [];
    this.#decoder.receive(kind, value);
    if (this.#referenced || this.#letGoTimer !== undefined) return;
    // Deno lets go of the read under way alone, and begins the next one at the
    // end of this turn
    this.#letGoTimer = setTimeout(() => {
      this.#letGoTimer = undefined;
      if (this.#referenced || this.#gone) return;
      this.#line.ref();
      this.#line.unref();
    });
  }

  /** An error that the entry module could not catch, such as its own. */
  #failed(event: ErrorEvent): void {
    event.preventDefault();
    const error = event.error instanceof Error
      ? event.error
      : new Error(event.message);
    this.#decoder.leave({ code: 1, reason: "error", error });
  }

  #leave(exit: RunnerExit): void {
    this.#exit = exit;
    if (this.#gone) return;
    stop(this.#stopWords);
    this.#worker.terminate();
    this.#referenced = true;
    this.#stuckTimer = setTimeout(() => {
      // It may also be in a long call, or the machine may be busy
      const error = new Error(
        `The thread did not stop within ${STUCK_AFTER} ms, as in an endless ` +
          "loop; it is set aside",
      );
      this.#finish({ error, ...exit });
    }, STUCK_AFTER);
    this.#awaitDeath();
  }

  #awaitDeath(): void {
    this.#waiting?.abort();
    clearTimeout(this.#pollTimer);
    // Before its greeting the thread does not hold the lock yet.
    if (this.#gone || (!this.#greeted && this.#exit === null)) return;
    if (!this.#referenced) return this.#poll();
    const waiting = new AbortController();
    this.#waiting = waiting;
    webLocks().request(
      this.#lock,
      { signal: waiting.signal },
      () => this.#die(),
    )
      .catch(() => {});
  }

  /** A request that waits would keep the program alive: ask now and then. */
  #poll(): void {
    const timer = setTimeout(() => {
      webLocks().request(this.#lock, { ifAvailable: true }, (lock) => {
        if (lock !== null) this.#die();
        else if (!this.#referenced && !this.#gone) this.#poll();
      }).catch(() => {});
    }, POLL_INTERVAL);
    Deno.unrefTimer(timer);
    this.#pollTimer = timer;
  }

  #die(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#drain(QUIET_TURNS);
  }

  /**
   * The lock can be free before the thread's last messages are read, of which
   * each turn of the event loop delivers one at least. Closing the line would
   * deliver them at once, but not the one that Deno is about to deliver.
   */
  #drain(turns: number): void {
    if (this.#exit !== null) return this.#finish(this.#exit);
    if (turns === 0) return this.#finish({ code: 1, reason: "exit" });
    const received = this.#received;
    setTimeout(() => {
      this.#drain(received === this.#received ? turns - 1 : QUIET_TURNS);
    });
  }

  #finish(exit: RunnerExit): void {
    this.#hasStarted();
    this.#gone = true;
    this.#exit = exit;
    clearTimeout(this.#stuckTimer);
    clearTimeout(this.#pollTimer);
    clearTimeout(this.#letGoTimer);
    this.#waiting?.abort();
    this.#worker.terminate();
    this.#line.close();
    endThread(this.#living);
    this.#lifecycle.end(exit);
  }
}

/**
 * A worker's local modules count as files that the program reads. What Deno
 * prints for those it may not read can't be caught.
 */
function assertReadable(urls: string[], name: string): void {
  for (const url of urls) {
    if (!url.startsWith("file:")) continue;
    const { state } = Deno.permissions.requestSync({
      name: "read",
      path: new URL(url),
    });
    if (state !== "granted") {
      throw new Deno.errors.NotCapable(
        `Cannot start thread "${name}": this program may not read "${url}", ` +
          "which runs there (needs --allow-read)",
      );
    }
  }
}

/** Throws if this program may not start a thread in this way. */
function assertMayStart(options: RunnerOptions): void {
  const { name = "", permissions = "inherit" } = options;
  assertReadable([ENTRY_URL, options.main, ...options.modules ?? []], name);
  if (permissions !== "inherit" && !launchFlags().workerOptions) {
    throw new Deno.errors.NotSupported(
      `Cannot start thread "${name}" with permissions of its own: add ` +
        `"worker-options" to "unstable" in deno.json, or run Deno with ` +
        "--unstable-worker-options (found only where this program may read " +
        "its deno.json, or has all permissions)",
    );
  }
}

/** Creates the worker of a thread, which waits for its first message. */
function createWorker(options: RunnerOptions): Worker {
  const { name = "", permissions = "inherit" } = options;
  return new Worker(entryUrl(ENTRY_URL, options), {
    type: "module",
    name,
    ...(permissions === "inherit" ? {} : { deno: { permissions } }),
  });
}
