/**
 * The runner in a child process.
 *
 * @module
 */

import {
  Channel,
  type ChannelConn,
  type ChildLink,
  LINK_VARIABLE,
  type Sender,
} from "../line/socket_line.ts";
import {
  expectChild,
  type ExpectedChild,
  forgetChild,
  watchChild,
} from "./rendezvous.ts";
import { imports } from "./context.ts";
import { proofForChildren, SHARED_URLS } from "../codec/share.ts";
import { childPermissions, entryUrl, launchFlags } from "./launch.ts";
import { ModuleImportError, type RunnerExit } from "../base/errors.ts";
import { Inbox, Lifecycle, type Runner, type RunnerOptions } from "./runner.ts";
import { endLiving, enterLiving, setPid } from "../locks/_living.ts";
import type { ShareHost } from "../queue/_shares.ts";
import { FRAME, RunnerDecoder, type Start } from "../line/dialect.ts";

const ENTRY_URL = new URL("./child_entry.ts", import.meta.url).href;
/** How long a child may live on without its channel, or the reverse. */
const LINGER = 2_000;

/** Calls `act`. Its errors keep their class; their message gets the name. */
function starting<T>({ name = "" }: RunnerOptions, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const ErrorClass = error.constructor as ErrorConstructor;
    const message = `Cannot start process "${name}": ${error.message}`;
    throw Object.assign(new ErrorClass(message, { cause: error }), {
      ...("code" in error && { code: error.code }),
    });
  }
}

function senderOf({ permissions, isReplica }: RunnerOptions): Sender {
  if (isReplica) return "replica";
  return (permissions ?? "inherit") === "inherit" ? "trusted" : "confined";
}

let isFolderGone = false;

/** An option for a child's working folder, if this program's was removed. */
function workingFolder(): { cwd?: string } {
  try {
    Deno.cwd();
    return {};
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) return {};
  }
  if (!isFolderGone) {
    isFolderGone = true;
    const text =
      "Warning: the working folder was removed; processes start in " +
      '"/" (call Deno.chdir() to choose another)\n';
    try {
      Deno.stderr.writeSync(new TextEncoder().encode(text));
    } catch {
      // Nowhere to print to
    }
  }
  return { cwd: "/" };
}

function spawn(options: RunnerOptions, expected: ExpectedChild) {
  const { permissions = "inherit" } = options;
  const modules = [ENTRY_URL, options.main, ...options.modules ?? []];
  const { flags, revoke } = childPermissions(
    permissions,
    expected.needs,
    modules,
  );
  const link: ChildLink = {
    connect: expected.connect,
    secret: expected.secret,
    sender: senderOf(options),
    proof: proofForChildren(),
    revoke,
  };
  const command = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--quiet",
      ...launchFlags().flags,
      ...flags,
      entryUrl(ENTRY_URL, options),
    ],
    ...workingFolder(),
    env: { [LINK_VARIABLE]: JSON.stringify(link) },
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  });
  return starting(options, () => command.spawn());
}

/** Deno's errors in a child that does not know the project. */
const UNKNOWN_IMPORT_REGEXP = /Relative import path|not a dependency/;

/** An exit whose error says why the child did not know the project. */
function explained(exit: RunnerExit): RunnerExit {
  const { reason, error } = exit;
  const { hidden } = launchFlags();
  if (
    reason !== "import" || hidden === null || error === undefined ||
    !UNKNOWN_IMPORT_REGEXP.test(error.message)
  ) return exit;
  const { module } = error as ModuleImportError;
  const message = `${error.message}; processes do not know the project's ` +
    `configuration, because this program may not read it (needs ` +
    `--allow-read=${hidden})`;
  return { ...exit, error: new ModuleImportError(message, module, error) };
}

/** A runner in a child process. */
export class ChildRunner extends Inbox implements Runner {
  readonly kind = "process";
  #lifecycle = new Lifecycle("process");
  readonly ready: Promise<void> = this.#lifecycle.ready;
  readonly exited: Promise<RunnerExit> = this.#lifecycle.exited;
  #decoder = new RunnerDecoder({
    message: (message) => this.deliver(message),
    ready: () => {
      // A busy machine may deliver the signal late
      if (!this.#terminated) this.#lifecycle.becomeReady();
    },
    share: (value) => this.#shares!.receive(value),
    leave: (exit) => this.#leave(exit),
  });
  #channel: Channel;
  /** Made before the first frame is read. */
  #shares: ShareHost | null = null;
  #child: Deno.ChildProcess;
  #living = 0;
  #exit: RunnerExit | null = null;
  #terminated = false;
  #lingerTimer: ReturnType<typeof setTimeout> | undefined;

  /**
   * Starts a child process.
   *
   * @param options What runs there.
   */
  constructor(options: RunnerOptions) {
    super((error) => this.fail(error));
    const sender = senderOf(options);
    this.#channel = new Channel({
      receive: (kind, value) => this.#decoder.receive(kind, value),
      fail: (error) => this.fail(error),
      end: () => this.#linger(),
    }, sender);
    if (Deno.build.standalone) {
      throw new Deno.errors.NotSupported(
        "Cannot start a process: a compiled program has no Deno to run it " +
          "with; use threads",
      );
    }
    const start: Start = {
      data: options.data,
      launchFlags: launchFlags(),
      importing: imports.chain,
    };
    this.#channel.send(FRAME.start, start);
    const expected = starting(options, expectChild);
    try {
      this.#living = enterLiving();
      this.#child = spawn(options, expected);
    } catch (error) {
      expected.cancel();
      endLiving(this.#living);
      throw error;
    }
    setPid(this.#living, this.#child.pid);
    watchChild(this.#child.pid, expected.folder);
    this.#follow(expected, sender, options);
  }

  get pid(): number {
    return this.#child.pid;
  }

  get backlog(): number {
    return this.#channel.backlog;
  }

  post(message: unknown): void {
    this.#channel.send(FRAME.message, message);
  }

  terminate(): void {
    this.#signal("SIGTERM");
  }

  kill(): void {
    this.#signal("SIGKILL");
  }

  fail(error: unknown): void {
    this.#decoder.fail(error);
  }

  ref(): void {
    this.#refer("ref");
  }

  unref(): boolean {
    this.#refer("unref");
    return true;
  }

  #refer(method: "ref" | "unref"): void {
    if (this.#lifecycle.ended) return;
    try {
      this.#child[method]();
      this.#channel[method]();
    } catch (error) {
      // It has ended, and its status is on the way
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }

  #signal(signal: Deno.Signal): void {
    if (this.#lifecycle.ended) return;
    try {
      this.#child.kill(signal);
      this.#terminated = true;
    } catch {
      // It has ended, and its status is on the way.
    }
  }

  #leave(exit: RunnerExit): void {
    this.#exit = explained(exit);
    if (exit.reason !== "protocol") return;
    this.#channel.close();
    this.#signal("SIGKILL");
  }

  /** Loads what a thread that starts no process has no use for. */
  async #follow(
    expected: ExpectedChild,
    sender: Sender,
    { modules = [], data }: RunnerOptions,
  ): Promise<void> {
    const { ShareHost } = await import("../queue/_shares.ts");
    const { pid } = this.#child;
    const shares = this.#shares = new ShareHost(
      (message) => this.#channel.send(FRAME.share, message),
      () => this.#channel.received,
      sender,
      pid,
    );
    if (modules.includes(SHARED_URLS.process)) shares.give(data as object);
    const read = this.#read(expected.conn);
    const status = await this.#child.status;
    clearTimeout(this.#lingerTimer);
    expected.cancel();
    this.#closeWhenSilent();
    await read;
    clearTimeout(this.#lingerTimer);
    const exit = this.#exitOf(status);
    shares.end(exit.reason === "returned");
    endLiving(this.#living);
    await forgetChild(pid);
    this.#lifecycle.end(exit);
  }

  async #read(connecting: Promise<ChannelConn | null>): Promise<void> {
    const conn = await connecting;
    if (conn !== null) await this.#channel.run(conn);
    this.#channel.close();
  }

  /**
   * The child has ended, and its last frames may still be unread. But one of its
   * children may hold the socket: closes it once a read has waited for long. It
   * looks twice, because what blocks the event loop delays the read, too.
   */
  #closeWhenSilent(looks = 2): void {
    const { reading } = this.#channel;
    this.#lingerTimer = setTimeout(() => {
      const isSilent = reading !== null && reading === this.#channel.reading;
      if (!isSilent) this.#closeWhenSilent();
      else if (looks > 1) this.#closeWhenSilent(looks - 1);
      else this.#channel.close();
    }, LINGER / 2);
  }

  /** The channel has ended: the child must, too. */
  #linger(): void {
    clearTimeout(this.#lingerTimer);
    this.#lingerTimer = setTimeout(() => this.kill(), LINGER);
  }

  #exitOf(status: Deno.CommandStatus): RunnerExit {
    const code = status.signal === null ? status.code : 128 - status.code;
    if (this.#exit !== null) return { ...this.#exit, code };
    return { code, reason: this.#terminated ? "terminated" : "exit" };
  }
}
