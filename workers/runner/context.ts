/**
 * The context of the current thread or process. The program of one that starts
 * none loads this, and not the classes.
 *
 * @module
 */

import { ModuleImportError } from "../base/errors.ts";

/** The number of the main thread of every process. */
export const MAIN_IDENT = 1;

/** The beginning of the URLs of this package's modules. */
const PACKAGE_URL = new URL("../../", import.meta.url).href;
const PACKAGE_FOLDER_REGEXP = /^(handlers|server|workers)\//;

/** A thread or process, as its context sees it. */
export interface Started {
  /** Which of the two it is. */
  readonly kind: "thread" | "process";
  /** Whether the program may end while it runs. */
  readonly daemon: boolean;
  /** Waits for it to end. */
  join(): Promise<boolean>;
  /** Runs its code here. */
  run(): unknown;
}

/** What is known of code that already runs. */
export interface Identity {
  /** Its number. */
  ident: number;
  /** Its name. */
  name: string;
  /** Whether it is a daemon. */
  daemon: boolean;
  /** The arguments. */
  args: readonly unknown[];
  /** The public fields of the object that was started. */
  fields: Record<string, unknown>;
}

/** Makes an object for code that already runs; `null` if it is no such class. */
type Attach = (identity: Identity, Class?: { prototype: object }) =>
  | Started
  | null;

/** What all threads of a process know of it. */
export interface ProcessContext {
  /** Its name. */
  name: string;
  /** Whether it is a daemon, which has no children. */
  daemon: boolean;
}

/** The type of {@linkcode context}. */
export interface Context {
  /** What runs here; `null` in the main thread of a program. */
  identity: Identity | null;
  /** The object for it, made at its first use. */
  current: Started | null;
  /** The object for the main thread, made at its first use. */
  main: Started | null;
  /** The object for the process, made at its first use. */
  mainProcess: Started | null;
  /** How to make such objects, once their class is loaded. */
  attach: { thread?: Attach; process?: Attach };
  /** Whether this is the main thread of its process. */
  isMain: boolean;
  /** Whether this thread is a daemon, as those that it starts are by default. */
  daemon: boolean;
  /** The process that this runs in. */
  process: ProcessContext;
  /** The last number given to a thread, shared by all threads. */
  lastIdent: Int32Array;
  /** The threads and processes that were started here and have not ended. */
  started: Set<Started>;
  /** The pools that were used here and have not ended, and the live timers. */
  owners: Set<TaskOwner>;
}

/** A pool or a timer, as its context sees it. */
export interface TaskOwner {
  /** Whether it has tasks, or has not called its function. */
  readonly isBusy: boolean;
  /** Settles when it has none. */
  done(): Promise<void>;
}

/** The context of this thread or process. */
export const context: Context = {
  identity: null,
  current: null,
  main: null,
  mainProcess: null,
  attach: {},
  isMain: true,
  daemon: false,
  process: { name: "MainProcess", daemon: false },
  lastIdent: new Int32Array(new SharedArrayBuffer(4)).fill(MAIN_IDENT),
  started: new Set(),
  owners: new Set(),
};

/** A value that follows a call through all its continuations. */
interface AsyncVariable {
  /** The value where this code descends from. */
  get(): unknown;
  /** Sets it for what follows; returns what `setAsyncContext()` restores. */
  enter(value: unknown): unknown;
}

/** The part of Deno's core that `AsyncLocalStorage` stands on. */
interface Core {
  AsyncVariable: new () => AsyncVariable;
  setAsyncContext(previous: unknown): void;
}

/**
 * Finds Deno's core: `node:async_hooks` takes longer to load than everything
 * else here.
 *
 * @returns The core, or `undefined` in a version that does not have it.
 */
export function findCore(): Core | undefined {
  const { internal } = Deno as unknown as { internal?: symbol };
  const inner = (Deno as unknown as Record<symbol, { core?: Partial<Core> }>)[
    internal ?? Symbol()
  ];
  const { AsyncVariable, setAsyncContext } = inner?.core ?? {};
  return AsyncVariable && setAsyncContext && inner!.core as Core;
}

/**
 * The import of a runner's modules: code that was not put under
 * `if (import.meta.main)` runs in it, and must not start its module again.
 */
class Imports {
  #chain: string[] = [];
  #kind = "";
  #fail: (error: Error) => void = () => {};
  #core: Core | undefined;
  /** Set in the code that an import runs, and in its continuations. */
  #inside: AsyncVariable | undefined;
  /** Whether nothing that the caller asked for has begun. */
  #isPending = false;

  /**
   * Begins the import of a runner's modules.
   *
   * @param kind The kind of this runner.
   * @param chain The modules that were being imported where it was started.
   * @param modules The modules that are imported here.
   * @param fail Ends this runner.
   */
  start(
    kind: string,
    chain: string[],
    modules: string[],
    fail: (error: Error) => void,
  ): void {
    this.#kind = kind;
    this.#chain = [...chain, ...modules.filter(isUsers)];
    this.#fail = fail;
    this.#core = findCore();
    this.#inside = this.#core && new this.#core.AsyncVariable();
    this.#isPending = true;
  }

  /** Calls a function that imports modules. */
  enter<T>(load: () => T): T {
    const previous = this.#inside?.enter(true);
    try {
      return load();
    } finally {
      this.#core?.setAsyncContext(previous);
    }
  }

  /** The code that the caller asked for begins: it may start any module. */
  begin(): void {
    this.#isPending = false;
  }

  /** The modules that must not be started now. */
  get chain(): string[] {
    return this.#isPending || this.#inside?.get() === true ? this.#chain : [];
  }

  /**
   * Refuses to start something whose module is being imported.
   *
   * @param modules The modules that would be imported again.
   * @param what What would be started.
   * @throws {ModuleImportError} If one of them is. The import then fails, too,
   * even if its code catches this.
   */
  refuse(modules: readonly string[], what: string): void {
    const { chain } = this;
    const module = modules.find((url) => chain.includes(url));
    if (module === undefined) return;
    const error = new ModuleImportError(
      `Cannot start ${what} while its module "${module}" is being imported in ` +
        `a ${this.#kind}: ${USE_THE_GUARD}`,
      module,
    );
    if (this.#isPending) this.#fail(error);
    throw error;
  }
}

/** The cure of what is started by an import. */
export const USE_THE_GUARD =
  "put the code that starts things under `if (import.meta.main)`";

function isUsers(url: string): boolean {
  return !url.startsWith(PACKAGE_URL) ||
    !PACKAGE_FOLDER_REGEXP.test(url.slice(PACKAGE_URL.length));
}

/** The imports of this thread or process. */
export const imports: Imports = new Imports();

/**
 * Numbers a thread.
 *
 * @returns A number that no other thread of this process has.
 */
export function nextIdent(): number {
  return Atomics.add(context.lastIdent, 0, 1) + 1;
}

/** Whether `joinStarted()` would wait. */
export function mustJoin(): boolean {
  return [...context.owners].some(({ isBusy }) => isBusy) ||
    [...context.started].some(({ daemon }) => !daemon);
}

/**
 * Waits for the threads and processes started here, for the tasks of pools and
 * for timers, as Python does before a process ends; not for daemons.
 */
export async function joinStarted(): Promise<void> {
  while (mustJoin()) {
    const waited = [...context.started].filter(({ daemon }) => !daemon);
    await Promise.all([
      ...[...context.owners].map((owner) => owner.done()),
      ...waited.map((activity) => activity.join()),
    ]);
  }
}

/** A function or class of the user's. */
export type Call = (...args: unknown[]) => unknown;

/**
 * Finds a function or class in a module.
 *
 * @param module The module's exports.
 * @param name The name of the export.
 * @param what What it should be.
 * @param url The module's URL.
 * @returns The function or class.
 * @throws {ModuleImportError} If the module does not export it.
 */
export function findExport(
  module: Record<string, unknown>,
  name: string,
  what: "function" | "class",
  url: string,
): Call {
  const isExported = Object.hasOwn(module, name);
  const value = isExported ? module[name] : undefined;
  if (typeof value === "function") return value as Call;
  throw new ModuleImportError(
    `Cannot run ${what} "${name}": ` +
      (isExported
        ? `"${url}" exports it, but it is not a ${what}`
        : `"${url}" does not export it; add \`export\` to it, under this name`),
    url,
  );
}

/** The data of a start. */
export interface ActivityStart {
  /** The URL of the module. */
  module: string;
  /** The class that overrides `run()`, or `null`. */
  className: string | null;
  /** The export that is the target, or `null`. */
  target: string | null;
  /** A {@linkcode Payload}, packed. */
  payload: unknown;
  /** The name. */
  name: string;
  /** Whether it is a daemon. */
  daemon: boolean;
  /** The number. */
  ident: number;
  /** The process that it is, or is in. */
  process: ProcessContext;
  /** The last number given to a thread, if memory is shared. */
  lastIdent: Int32Array | null;
}

/**
 * The messages of a thread or process: a pair of one of these, at most once
 * each, and a packed value or an `ErrorRecord`.
 */
export const MESSAGE = { result: 0, error: 1 } as const;

/** The caller's values in a start. */
export type Payload = Pick<Identity, "args" | "fields">;
