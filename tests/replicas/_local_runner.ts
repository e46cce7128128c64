/** Replicas in the same isolate as their server, which tests can get between. */

import type { RunnerExit } from "../../mod.ts";
import { prepare, role } from "../../server/_internal.ts";
import type { BaseServer } from "../../server/base_server.ts";
import type { ParentLink } from "../../server/replicas/parent_link.ts";
import { runReplica } from "../../server/replicas/main.ts";
import type { Boot } from "../../server/replicas/protocol.ts";
import {
  prepareReplicas,
  type StartRunner,
} from "../../server/replicas/plan.ts";
import { loadSet } from "../../server/replicas/replica_class.ts";
import {
  Lifecycle,
  type MessageHandler,
  type Runner,
  type RunnerKind,
  type RunnerOptions,
  type RunnerPort,
} from "../../workers/runner/runner.ts";

/** A runner whose other half is here as well. */
export class LocalRunner implements Runner {
  readonly kind: RunnerKind;
  readonly backlog = 0;
  onmessage: MessageHandler | null = null;
  /** What each side has said, but for the relay's bytes. */
  readonly toReplica: unknown[] = [];
  readonly fromReplica: unknown[] = [];
  /** What the next replica says in one breath with its being ready. */
  static readonly firstWords: unknown[] = [];
  /** What of its messages the next replica hears. */
  static readonly nextPasses: ((message: unknown) => boolean)[] = [];
  /** Whether the replica hears a message. */
  passes: (message: unknown) => boolean = LocalRunner.nextPasses.shift() ??
    (() => true);
  #lifecycle: Lifecycle;
  #port: RunnerPort;
  #server: BaseServer | undefined;
  #ended = false;

  constructor(kind: RunnerKind, options: RunnerOptions) {
    this.kind = kind;
    this.#lifecycle = new Lifecycle(kind);
    this.#port = {
      kind,
      backlog: 0,
      onmessage: null,
      post: (message) => void queueMicrotask(() => this.say(message)),
      flushed: () => Promise.resolve(),
      sendNow: () => {},
      // After what it has said
      close: () =>
        queueMicrotask(() => this.#end({ code: 0, reason: "returned" })),
    };
    void this.#run(options);
  }

  get ready(): Promise<void> {
    return this.#lifecycle.ready;
  }

  get exited(): Promise<RunnerExit> {
    return this.#lifecycle.exited;
  }

  /** Says something in the replica's name. */
  say(message: unknown): void {
    if (this.#ended) return;
    if (!(message instanceof Uint8Array)) this.fromReplica.push(message);
    try {
      this.onmessage?.(message);
    } catch (error) {
      this.fail(error);
    }
  }

  post(message: unknown): void {
    if (!(message instanceof Uint8Array)) this.toReplica.push(message);
    if (this.passes(message)) queueMicrotask(() => this.deliver(message));
  }

  /** Has the replica hear a message now. */
  deliver(message: unknown): void {
    if (this.#ended) return;
    try {
      this.#port.onmessage?.(message);
    } catch (error) {
      this.#end({ code: 1, reason: "error", error: error as Error });
    }
  }

  terminate(): void {
    this.#end({ code: 1, reason: "terminated" });
  }

  kill(): void {
    this.terminate();
  }

  fail(error: unknown): void {
    this.#end({ code: 1, reason: "protocol", error: error as Error });
  }

  ref(): void {}

  unref(): boolean {
    return true;
  }

  async #run({ modules = [], data }: RunnerOptions): Promise<void> {
    try {
      const loaded = [];
      for (const module of modules) loaded.push(await import(module));
      const done = runReplica(this.#port, loaded, data as Boot);
      this.#server = constructed.at(-1);
      this.#lifecycle.becomeReady();
      for (const word of LocalRunner.firstWords.splice(0)) this.say(word);
      await done;
    } catch (error) {
      this.#end({ code: 1, reason: "error", error: error as Error });
    }
  }

  #end(exit: RunnerExit): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#lifecycle.end(exit);
    // What a thread or process that dies has open goes with it
    if (this.#server === undefined) return;
    this.#server.shutdownTimeout = 0;
    (this.#server[role] as ParentLink).isClosing = true;
    void this.#server.serverClose();
  }
}

/** The servers that tests have constructed, in order. */
export const constructed: BaseServer[] = [];

/** Has a server class of a test serve by local replicas. */
export function prepareLocally(
  server: BaseServer,
  started: LocalRunner[],
  kind: RunnerKind = "thread",
): void {
  const start: StartRunner = (kind, options) => {
    const runner = new LocalRunner(kind, options);
    started.push(runner);
    return runner;
  };
  prepareReplicas(server, kind, loadSet, start);
}

export { prepare, role };
