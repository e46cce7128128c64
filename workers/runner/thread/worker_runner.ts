import { entrySource } from "../entry_source.ts";
import type { RunnerExit } from "../../errors.ts";
import { Inbox } from "../inbox.ts";
import { Lifecycle } from "../lifecycle.ts";
import { webLocks } from "./web_locks.ts";
import { launchFlags } from "../process/launch_flags.ts";
import { type ExitRecord, fromExitRecord } from "../error_record.ts";
import {
  type MessageHandler,
  nextRunnerId,
  type Runner,
  type RunnerOptions,
} from "../runner.ts";
import type { WorkerStart } from "./worker_entry.ts";

const ENTRY_URL = new URL("./worker_entry.ts", import.meta.url).href;
/** How long a terminated thread may take before it counts as stuck. */
const STUCK_AFTER = 500;
/** How often an unreferenced thread is looked after. */
const POLL_INTERVAL = 50;
/** How long the messages of a thread that vanished may still take. */
const DRAIN_INTERVAL = 5;

type RefMethod = (this: Worker, referenced: boolean) => void;

/**
 * Finds what Deno's own `node:worker_threads` uses to let the program end
 * while a worker lives: a method of one argument under a private symbol.
 */
function findRefMethod(): RefMethod | undefined {
  const prototype = Worker.prototype as unknown as Record<symbol, unknown>;
  for (const symbol of Object.getOwnPropertySymbols(prototype)) {
    const value = Object.getOwnPropertyDescriptor(prototype, symbol)?.value;
    if (typeof value === "function" && value.length === 1) {
      return value as RefMethod;
    }
  }
  return undefined;
}

const REF_METHOD = findRefMethod();

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

function createWorker(options: RunnerOptions, tag: string): Worker {
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
  // The same modules give the same URL: what Deno has found out about it, such
  // as its types under "deno test", serves the next thread as well
  const source = entrySource(ENTRY_URL, options);
  const url = `data:application/javascript,${encodeURIComponent(source)}`;
  return new Worker(url, {
    type: "module",
    name: `${name} ${tag}`,
    ...(permissions === "inherit" ? {} : { deno: { permissions } }),
  });
}

/** A runner in a `Worker`. */
export class WorkerRunner implements Runner {
  readonly kind = "thread";
  readonly id: number = nextRunnerId();
  readonly backlog = 0;
  #lifecycle = new Lifecycle("thread");
  #inbox = new Inbox();
  #tag = `socketserver:${crypto.randomUUID()}`;
  #worker: Worker;
  #received = 0;
  #exit: RunnerExit | null = null;
  #gone = false;
  #referenced = true;
  #waiting: AbortController | null = null;
  #greeted = false;
  #pollTimer: ReturnType<typeof setTimeout> | undefined;
  #stuckTimer: ReturnType<typeof setTimeout> | undefined;

  /**
   * Starts a thread.
   *
   * @param options What runs there.
   */
  constructor(options: RunnerOptions) {
    const worker = createWorker(options, this.#tag);
    this.#worker = worker;
    worker.onmessage = (event) => this.#receive(event.data);
    worker.onerror = (event) => this.#fail(event);
    worker.onmessageerror = () => this.#received++;
    const start: WorkerStart = {
      data: options.data,
      launchFlags: launchFlags(),
    };
    try {
      worker.postMessage(start, options.transfer ?? []);
    } catch (error) {
      worker.terminate();
      throw error;
    }
  }

  get ready(): Promise<void> {
    return this.#lifecycle.ready;
  }

  get exited(): Promise<RunnerExit> {
    return this.#lifecycle.exited;
  }

  get onmessage(): MessageHandler | null {
    return this.#inbox.handler;
  }

  set onmessage(handler: MessageHandler | null) {
    this.#inbox.handler = handler;
  }

  post(message: unknown, transfer?: Transferable[]): void {
    if (this.#exit !== null || this.#gone) return;
    if (transfer === undefined) this.#worker.postMessage(message);
    else this.#worker.postMessage(message, transfer);
  }

  flushed(): Promise<void> {
    return Promise.resolve();
  }

  terminate(): void {
    if (this.#exit === null && !this.#gone) {
      this.#leave({ code: 1, reason: "terminated" });
    }
  }

  kill(): void {
    this.terminate();
  }

  ref(): void {
    if (REF_METHOD === undefined) return;
    if (this.#referenced || this.#lifecycle.ended) return;
    this.#referenced = true;
    REF_METHOD.call(this.#worker, true);
    this.#awaitDeath();
  }

  unref(): boolean {
    if (REF_METHOD === undefined) return false;
    if (this.#referenced && !this.#lifecycle.ended) {
      this.#referenced = false;
      REF_METHOD.call(this.#worker, false);
      this.#awaitDeath();
    }
    return true;
  }

  #receive(message: unknown): void {
    this.#received++;
    if (Array.isArray(message) && message[0] === this.#tag) {
      this.#control(message[1], message[2]);
    } else if (this.#exit === null) {
      this.#inbox.deliver(message);
    }
  }

  #control(what: unknown, record: unknown): void {
    if (what === "hello") {
      this.#greeted = true;
      this.#awaitDeath();
    } else if (what === "ready") {
      this.#lifecycle.becomeReady();
    } else if (this.#exit === null) {
      this.#leave(fromExitRecord(record as ExitRecord));
    }
  }

  /** An error that the entry module could not catch, such as its own. */
  #fail(event: ErrorEvent): void {
    event.preventDefault();
    this.#received++;
    if (this.#exit === null) {
      const error = event.error instanceof Error
        ? event.error
        : new Error(event.message);
      this.#leave({ code: 1, reason: "error", error });
    }
  }

  #leave(exit: RunnerExit): void {
    this.#exit = exit;
    this.#worker.terminate();
    this.#referenced = true;
    this.#stuckTimer = setTimeout(() => {
      this.#finish({
        ...exit,
        error: new Error(
          "Cannot stop the thread: it is in an endless loop, which nothing " +
            "but the end of the program stops",
        ),
      });
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
    webLocks.request(this.#tag, { signal: waiting.signal }, () => this.#die())
      .catch(() => {});
  }

  /** A request that waits would keep the program alive: ask now and then. */
  #poll(): void {
    const timer = setTimeout(() => {
      webLocks.request(this.#tag, { ifAvailable: true }, (lock) => {
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
    if (this.#exit !== null) this.#finish(this.#exit);
    else this.#drain(-1);
  }

  /** The lock can be free before the thread's last messages are read. */
  #drain(received: number): void {
    if (this.#exit !== null) return this.#finish(this.#exit);
    if (received === this.#received) {
      return this.#finish({ code: 1, reason: "exit" });
    }
    setTimeout(() => this.#drain(this.#received), DRAIN_INTERVAL);
  }

  #finish(exit: RunnerExit): void {
    this.#gone = true;
    this.#exit = exit;
    clearTimeout(this.#stuckTimer);
    clearTimeout(this.#pollTimer);
    this.#waiting?.abort();
    this.#worker.terminate();
    this.#lifecycle.end(exit);
  }
}
