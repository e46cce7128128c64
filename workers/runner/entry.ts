/**
 * The common part of the entry modules of threads and processes.
 *
 * @module
 */

import { ModuleImportError, reasonOf } from "../base/errors.ts";
import {
  type ExitRecord,
  FRAME,
  ProtocolError,
  type Start,
  tellRecord,
  toExitRecord,
  told,
} from "../line/dialect.ts";
import { imports } from "./context.ts";
import {
  Inbox,
  type RunnerKind,
  type RunnerMain,
  type RunnerPort,
} from "./runner.ts";

/** A module and the literal `import()` of it. */
export type ModuleLoader = [
  url: string,
  load: () => Promise<Record<string, unknown>>,
];

/** The line of a {@linkcode Port} to the runner's owner. */
export interface PortLine {
  /** The kind of runner that this is. */
  readonly kind: RunnerKind;
  /** The number of bytes that wait to be sent. */
  backlog(): number;
  /** Sends a frame. */
  send(kind: number, value?: unknown, transfer?: Transferable[]): void;
  /** Settles when everything has been handed to the system. */
  flushed(): Promise<void>;
  /** Hands everything to the system before this task ends. */
  sendNow(): void;
  /** Ends the thread or process, after what was sent. */
  leave(code: number): void;
}

/** A runner's end of its connection. It runs what its owner asks for. */
export class Port extends Inbox implements RunnerPort {
  readonly kind: RunnerKind;
  onerror: ((thrown: unknown) => void) | null = null;
  #line: PortLine;
  #modules: ModuleLoader[];
  #main: RunnerMain;
  #ended = false;

  /**
   * Constructs a port, and watches for errors that nobody catches.
   *
   * @param line The line to the owner.
   * @param modules The user's modules.
   * @param main What this package runs there.
   */
  constructor(line: PortLine, modules: ModuleLoader[], main: RunnerMain) {
    super((error) => this.fail(error));
    this.kind = line.kind;
    this.#line = line;
    this.#modules = modules;
    this.#main = main;
    watchUncaught((thrown) => {
      if (this.onerror === null) this.fail(thrown);
      else if (!this.#ended) this.onerror(thrown);
    });
  }

  get backlog(): number {
    return this.#line.backlog();
  }

  post(message: unknown, transfer?: Transferable[]): void {
    if (!this.#ended) this.#line.send(FRAME.message, message, transfer);
  }

  flushed(): Promise<void> {
    return this.#line.flushed();
  }

  sendNow(): void {
    this.#line.sendNow();
  }

  close(): void {
    const code = this.kind === "process" ? Deno.exitCode : 0;
    this.end({ code, reason: "returned" });
  }

  /** Takes a frame of the owner. */
  receive(kind: unknown, value: unknown): void {
    if (kind === FRAME.message) return this.deliver(value);
    if (kind === FRAME.start) return void this.#run(value as Start);
    throw new ProtocolError("A frame is unknown or out of order");
  }

  /** Ends the runner for an error. */
  fail(thrown: unknown): void {
    this.end(toExitRecord(thrown));
  }

  /** Ends the runner. Its owner learns how, but not a cause that can't cross. */
  end(exit: ExitRecord): void {
    if (this.#ended) return;
    this.#ended = true;
    const { error } = exit;
    if (error === undefined) this.#line.send(FRAME.exit, exit);
    else {
      tellRecord((error) => {
        this.#line.send(FRAME.exit, { ...exit, error });
      }, error);
    }
    this.#line.leave(exit.code);
  }

  async #run({ data, launchFlags, importing }: Start): Promise<void> {
    try {
      told.launchFlags = launchFlags;
      const urls = this.#modules.map(([url]) => url);
      imports.start(this.kind, importing, urls, (error) => this.fail(error));
      const modules: Record<string, unknown>[] = [];
      for (const loader of this.#modules) modules.push(await load(loader));
      const done = this.#main(this, modules, data);
      if (!this.#ended) this.#line.send(FRAME.ready);
      await done;
    } catch (error) {
      this.fail(error);
    }
  }
}

async function load(
  [url, importIt]: ModuleLoader,
): Promise<Record<string, unknown>> {
  try {
    return await imports.enter(importIt);
  } catch (error) {
    const message = `Cannot import "${url}": ${reasonOf(error)}`;
    throw new ModuleImportError(message, url, { cause: error });
  }
}

/** Handles uncaught errors as Deno would, but the owner reports them. */
function watchUncaught(fail: (thrown: unknown) => void): void {
  function watch(event: Event, thrown: unknown): void {
    event.preventDefault();
    let handled = false;
    // The user's own handler may yet claim the error, after this one.
    Object.defineProperty(event, "preventDefault", {
      value: () => {
        handled = true;
      },
    });
    queueMicrotask(() => {
      if (!handled) fail(thrown);
    });
  }
  globalThis.addEventListener(
    "error",
    (event) => watch(event, event.error ?? new Error(event.message)),
  );
  globalThis.addEventListener(
    "unhandledrejection",
    (event) => watch(event, event.reason),
  );
}
