/**
 * New code and certificates for a server that serves: SIGHUP and the option
 * `--watch`.
 *
 * @module
 */

import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { ServeCommand } from "./args.ts";
import { printProblem } from "./output.ts";
import { readTls } from "./pem.ts";
import type { CliServer } from "./servers.ts";
import type { StopSignals } from "./signals.ts";

const CODE_REGEXP = /\.(?:[cm]?[jt]s|[jt]sx|json|wasm)$/;
const OTHERS_REGEXP = /[\\/](?:node_modules|\.git)[\\/]/;
/** Editors write a file in several steps, and often more than one file. */
const QUIET_MS = 100;
const HANGUP_EXIT_CODE = 129;

/** Reloads a server at each SIGHUP, until it is disposed. */
export class Reloads implements Disposable {
  readonly #server: CliServer;
  readonly #options: ServeCommand["options"];
  readonly #stop: StopSignals;
  readonly #say: (line: string) => void;
  readonly #hadTerminal = hasTerminal();
  #folder: string | null = null;
  #watcher: Deno.FsWatcher | null = null;
  #following: Promise<void> | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asked = false;
  #reloading = false;
  #ended = false;

  constructor(
    server: CliServer,
    { options }: ServeCommand,
    stop: StopSignals,
    say: (line: string) => void,
  ) {
    this.#server = server;
    this.#options = options;
    this.#stop = stop;
    this.#say = say;
    if (Deno.build.os === "windows") return;
    Deno.addSignalListener("SIGHUP", this.#onHangUp);
  }

  /** Reloads when a module changes in the folder of `module`, or below it. */
  watch(module: string): void {
    this.#folder = dirname(fileURLToPath(module));
    if (this.#watch(this.#folder)) this.#say(`Watching "${this.#folder}"`);
  }

  #watch(folder: string): boolean {
    try {
      this.#watcher = Deno.watchFs(folder);
    } catch (error) {
      this.#notWatched(folder, error);
      return false;
    }
    this.#following = this.#follow(this.#watcher, folder).catch((error) =>
      this.#notWatched(folder, error)
    );
    return true;
  }

  /** Watches the folder that has the path now: another may have taken it. */
  async #watchAnew(folder: string): Promise<void> {
    this.#watcher?.close();
    this.#watcher = null;
    // Until it has ended, Deno gives the old folder's watcher once more
    await this.#following;
    if (!this.#ended) this.#watch(folder);
  }

  #notWatched(folder: string, error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    printProblem(
      `Cannot watch "${folder}": ${message}; it serves on, and SIGHUP reloads`,
    );
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#watcher?.close();
    if (Deno.build.os === "windows") return;
    Deno.removeSignalListener("SIGHUP", this.#onHangUp);
  }

  #onHangUp = (): void => {
    // The signal also means that the terminal was closed
    if (this.#hadTerminal && !hasTerminal()) this.#stop.stop(HANGUP_EXIT_CODE);
    else void this.#reload();
  };

  async #follow(watcher: Deno.FsWatcher, folder: string): Promise<void> {
    for await (const { kind, paths } of watcher) {
      const isNews = paths.some((path) =>
        path === folder ? kind === "remove" : CODE_REGEXP.test(path) &&
          !OTHERS_REGEXP.test(path.slice(folder.length))
      );
      if (!isNews || kind === "access") continue;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => void this.#reload(), QUIET_MS);
    }
  }

  /** Reloads; once more if it was asked for meanwhile. */
  async #reload(): Promise<void> {
    this.#asked = true;
    if (this.#reloading) return;
    this.#reloading = true;
    while (this.#asked && !this.#ended) {
      this.#asked = false;
      await this.#reloadOnce();
    }
    this.#reloading = false;
  }

  async #reloadOnce(): Promise<void> {
    this.#say("Reloading: open requests go on as they began");
    if (this.#folder !== null) await this.#watchAnew(this.#folder);
    try {
      const tls = await readTls(this.#options);
      if (tls !== null) {
        await this.#server.replaceCertificate!(tls);
        this.#say("Replaced the certificate");
      }
      await this.#server.reload?.();
      if (!this.#ended) this.#say("Reloaded");
    } catch (error) {
      if (this.#ended) return;
      printProblem(error);
      this.#say("Not reloaded: what served before serves on");
    }
  }
}

function hasTerminal(): boolean {
  return [Deno.stdin, Deno.stdout, Deno.stderr].some((file) =>
    file.isTerminal()
  );
}
