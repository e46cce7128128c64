/**
 * The first of this package's modules in a thread.
 *
 * @module
 */
import { type ModuleLoader, runMain, watchUncaught } from "../entry.ts";
import { Inbox } from "../inbox.ts";
import { webLocks } from "./web_locks.ts";
import { adoptLaunchFlags, type LaunchFlags } from "../process/launch_flags.ts";
import type { ExitRecord } from "../error_record.ts";
import type { MessageHandler, RunnerPort } from "../runner.ts";

/** What every thread is told first. */
export interface WorkerStart {
  /** What was given for `main`. */
  data: unknown;
  /** What the parent knows of the program. */
  launchFlags: LaunchFlags;
}

/** The part of a worker's global scope that is used here. */
interface WorkerScope {
  postMessage(message: unknown, transfer?: Transferable[]): void;
  close(): void;
  /** The thread's name, and behind it the runner's tag. */
  readonly name: string;
}

class WorkerPort implements RunnerPort {
  readonly kind = "thread";
  readonly backlog = 0;
  readonly inbox = new Inbox();
  readonly post: RunnerPort["post"];
  readonly close: () => void;

  constructor(post: RunnerPort["post"], close: () => void) {
    this.post = post;
    this.close = close;
  }

  get onmessage(): MessageHandler | null {
    return this.inbox.handler;
  }

  set onmessage(handler: MessageHandler | null) {
    this.inbox.handler = handler;
  }

  flushed(): Promise<void> {
    return Promise.resolve();
  }
}

/**
 * Runs a thread's modules.
 *
 * @param modules The user's modules.
 * @param main The module of this package that exports `main`.
 */
export function enter(
  modules: ModuleLoader[],
  main: ModuleLoader,
): void {
  const scope = globalThis as unknown as WorkerScope;
  // Marks the messages that are the runner's own, and names the lock that the
  // thread holds while it lives
  const tag = scope.name.split(" ").at(-1)!;
  const post = scope.postMessage.bind(globalThis);
  const close = scope.close.bind(globalThis);
  const exit = Deno.exit;
  let ended = false;
  function end(record: ExitRecord): void {
    if (!ended) post([tag, "exit", record]);
    ended = true;
    close();
  }
  // Both end a thread without a word otherwise.
  scope.close = () => end({ code: 0, reason: "exit" });
  Deno.exit = (code) => {
    end({ code: code ?? Deno.exitCode, reason: "exit" });
    return exit(code);
  };
  watchUncaught(end);
  const port = new WorkerPort(
    (message, transfer) => post(message, transfer ?? []),
    () => end({ code: 0, reason: "returned" }),
  );
  let started = false;
  globalThis.addEventListener("message", (event) => {
    const { data } = event as MessageEvent;
    if (started) return port.inbox.deliver(data);
    started = true;
    const start = data as WorkerStart;
    adoptLaunchFlags(start.launchFlags);
    runMain({
      modules,
      main,
      port,
      data: start.data,
      ready: () => post([tag, "ready"]),
      end,
    });
  });
  // Held until the thread is gone, however it went: that is how the parent
  // learns of it.
  webLocks.request(tag, {}, () => {
    post([tag, "hello"]);
    return new Promise(() => {});
  }).catch(() => {});
}
