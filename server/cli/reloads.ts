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
  readonly #tls: ServeCommand["tls"];
  readonly #stop: StopSignals;
  readonly #say: (line: string) => void;
  readonly #hadTerminal = hasTerminal();
  #watcher: Deno.FsWatcher | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #state: "idle" | "reloading" | "again" | "ended" = "idle";

  constructor(
    server: CliServer,
    { tls }: ServeCommand,
    stop: StopSignals,
    say: (line: string) => void,
  ) {
    this.#server = server;
    this.#tls = tls;
    this.#stop = stop;
    this.#say = say;
    if (Deno.build.os === "windows") return;
    Deno.addSignalListener("SIGHUP", this.#onHangUp);
  }

  /** Reloads when a module changes in the folder of `module`, or below it. */
  watch(module: string): void {
    const folder = dirname(fileURLToPath(module));
    try {
      this.#watcher = Deno.watchFs(folder);
    } catch (error) {
      return this.#notWatched(folder, error);
    }
    this.#follow(this.#watcher).catch((error) =>
      this.#notWatched(folder, error)
    );
    this.#say(`Watching "${folder}"`);
  }

  #notWatched(folder: string, error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    printProblem(
      `Cannot watch "${folder}": ${message}; it serves on, and SIGHUP reloads`,
    );
  }

  [Symbol.dispose](): void {
    this.#state = "ended";
    clearTimeout(this.#timer);
    this.#watcher?.close();
    if (Deno.build.os === "windows") return;
    Deno.removeSignalListener("SIGHUP", this.#onHangUp);
  }

  #onHangUp = (): void => {
    // The signal also tells that the terminal was closed
    if (this.#hadTerminal && !hasTerminal()) this.#stop.stop(HANGUP_EXIT_CODE);
    else void this.#reload();
  };

  async #follow(watcher: Deno.FsWatcher): Promise<void> {
    for await (const { kind, paths } of watcher) {
      const isCode = paths.some((path) =>
        CODE_REGEXP.test(path) && !OTHERS_REGEXP.test(path)
      );
      if (!isCode || kind === "access") continue;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => void this.#reload(), QUIET_MS);
    }
  }

  /** Reloads; once more if it was asked for meanwhile. */
  async #reload(): Promise<void> {
    if (this.#state !== "idle") {
      if (this.#state === "reloading") this.#state = "again";
      return;
    }
    do {
      this.#state = "reloading";
      await this.#reloadOnce();
    } while (this.#hasMore());
  }

  #hasMore(): boolean {
    const more = this.#state === "again";
    if (this.#state === "reloading") this.#state = "idle";
    return more;
  }

  async #reloadOnce(): Promise<void> {
    this.#say("Reloading: open requests go on as they began");
    try {
      if (this.#tls !== null) {
        await this.#server.replaceCertificate!(await readTls(this.#tls));
        this.#say("Replaced the certificate");
      }
      await this.#server.reload?.();
      if (this.#state !== "ended") this.#say("Reloaded");
    } catch (error) {
      if (this.#state === "ended") return;
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
