/**
 * The handler that runs a command.
 *
 * @module
 */

import { grace, HAS_GROUPS, killGroup, readsAhead } from "./_internal.ts";
import { BaseRequestHandler } from "./base_request_handler.ts";

const BUFFER_SIZE = 65_536;
/** How long a command has to end after SIGTERM. */
const KILL_AFTER_MS = 500;
/** How long its death and the end of its output may take after that. */
const REAP_MS = 500;
const MAPPED_REGEXP = /^::ffff:(?=\d+\.)/i;

/** The commands that run: none outlives the program. */
const running: Set<Deno.ChildProcess> = new Set();
let watchesEnd = false;

/**
 * Runs a command for each connection. The client's bytes are the command's
 * stdin; the command's stdout goes to the client. No shell is involved. Needs
 * `--allow-run` for the command.
 *
 * When the client stops sending, stdin ends. When the command closes stdout,
 * the client sees the end. The connection is closed after the command has
 * exited and all its output is sent; its exit code does not matter. A slow side
 * slows the other one down: memory does not grow.
 *
 * The command gets SIGTERM if its client is gone or `shutdownTimeout` is over,
 * and SIGKILL half a second later, or when the program ends. It runs in a
 * process group of its own: a Ctrl-C in the server's terminal does not reach it,
 * and with `--allow-run` for every program the whole group is ended. A client
 * that closes without a reset looks like one that only stopped sending: a
 * command that ignores the end of stdin is ended at its next output. Its stderr
 * goes to the server's.
 *
 * `idleTimeout` and `minRate` limit how long the client takes to accept output.
 * A client that sends nothing may be waiting for the command, so `requestTimeout`
 * alone limits that.
 *
 * The environment holds the addresses, as under UCSPI's `tcpserver`: `PROTO`
 * (`TCP`), `TCPREMOTEIP`, `TCPREMOTEPORT`, `TCPLOCALIP` and `TCPLOCALPORT`; on
 * a Unix socket `PROTO` is `UNIX`, with `UNIXLOCALPATH`, and `UNIXREMOTEPATH`
 * for a client that has one. An abstract path begins with "@" there.
 *
 * @example A sorting service
 * ```ts
 * import { CommandRequestHandler, TCPServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * class Sort extends CommandRequestHandler {
 *   override command = "sort";
 *   override args = ["-n"];
 * }
 *
 * await using server = new TCPServer({ port: 0 }, Sort);
 * server.serveForever();
 * using client = await Deno.connect(server.serverAddress);
 * await client.write(new TextEncoder().encode("30\n4\n"));
 * await client.closeWrite();
 * assertEquals(await new Response(client.readable).text(), "4\n30\n");
 * ```
 *
 * @typeParam C The type of the server's `context`.
 */
export abstract class CommandRequestHandler<C = unknown>
  extends BaseRequestHandler<Deno.Conn, C> {
  /** The program: a name to look up in `PATH`, or a path. */
  abstract command: string | URL;
  /** Its arguments. */
  args: readonly string[] = [];
  /** The working directory; the server's own if `undefined`. */
  cwd: string | URL | undefined;
  /** Variables to add to its environment. */
  env: Readonly<Record<string, string>> = {};

  /**
   * Runs the command to its end.
   *
   * @example A command and its arguments
   * ```ts
   * import { CommandRequestHandler } from "@socketserver/socketserver";
   * import { connect } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * class Greeting extends CommandRequestHandler {
   *   override command = Deno.execPath();
   *   override args = ["eval", "console.log('hello')"];
   * }
   *
   * await using client = connect(Greeting);
   * assertEquals(await client.rfile.readLine(), "hello");
   * await client.closeWrite();
   * await client.ended;
   * ```
   *
   * @throws {Deno.errors.NotFound} If the command does not exist.
   * @throws {Deno.errors.NotCapable} Without `--allow-run` for it.
   */
  override async handle(): Promise<void> {
    const child = this.spawn();
    keep(child);
    const stdin = child.stdin.getWriter();
    const stdout = child.stdout.getReader();
    const { signal } = this;
    let gone: { error: unknown } | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const end = () => {
      signalChild(child, "SIGTERM");
      timer ??= setTimeout(() => signalChild(child, "SIGKILL"), KILL_AFTER_MS);
      // Its children may keep stdout open
      stdout.cancel().catch(() => {});
    };
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
    let over = false;
    this.#feed(stdin).catch((error) => {
      if (over) return; // the server has closed the connection
      gone = { error };
      end();
    });
    try {
      await this.#deliver(stdout);
    } catch (error) {
      gone ??= { error };
      end();
    }
    await child.status;
    running.delete(child);
    over = true;
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    stdin.abort().catch(() => {}); // it may be waiting for the client
    if (gone !== null) throw (gone as { error: unknown }).error;
  }

  /**
   * Starts the command. Override it to note its number, for example.
   *
   * @example Usage
   * ```ts
   * import { CommandRequestHandler } from "@socketserver/socketserver";
   * import { connect } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * const pids: number[] = [];
   * class Noted extends CommandRequestHandler {
   *   override command = Deno.execPath();
   *   override args = ["eval", "console.log(Deno.pid)"];
   *   override spawn() {
   *     const child = super.spawn();
   *     pids.push(child.pid);
   *     return child;
   *   }
   * }
   *
   * await using client = connect(Noted);
   * assertEquals(await client.rfile.readLine(), String(pids[0]));
   * await client.closeWrite();
   * await client.ended;
   * ```
   *
   * @returns The child, with pipes as its stdin and stdout.
   * @throws {Deno.errors.NotFound} If the command does not exist.
   * @throws {Deno.errors.NotCapable} Without `--allow-run` for it.
   */
  spawn(): Deno.ChildProcess {
    const { command, args, cwd } = this;
    const env = {
      ...describeEnds(this.request, this.clientAddress),
      ...this.env,
    };
    try {
      return new Deno.Command(command, {
        args: [...args],
        env,
        ...(cwd !== undefined && { cwd }),
        stdin: "piped",
        stdout: "piped",
        stderr: "inherit",
        detached: HAS_GROUPS,
      }).spawn();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      error.message = `Cannot run "${command}": ${error.message}`;
      throw error;
    }
  }

  /** @ignore */
  override get [grace](): number {
    return KILL_AFTER_MS + REAP_MS;
  }

  /** @ignore */
  override get [readsAhead](): boolean {
    return true;
  }

  /** Copies the client's bytes to stdin; rejects when the client is gone. */
  async #feed(
    stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>,
  ): Promise<void> {
    const buffer = new Uint8Array(BUFFER_SIZE);
    for (let n; (n = await this.request.read(buffer)) !== null;) {
      try {
        await stdin.write(buffer.subarray(0, n));
      } catch {
        return; // the command reads no more
      }
    }
    await stdin.close().catch(() => {});
  }

  /** Copies stdout to the client. */
  async #deliver(
    stdout: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>,
  ): Promise<void> {
    const { request } = this;
    for (let chunk; !(chunk = await stdout.read()).done;) {
      for (let rest = chunk.value; rest.length > 0;) {
        rest = rest.subarray(await request.write(rest));
      }
    }
    await request.closeWrite();
  }
}

/** Makes the end of the program end a command. */
function keep(child: Deno.ChildProcess): void {
  running.add(child);
  if (watchesEnd) return;
  watchesEnd = true;
  globalThis.addEventListener("unload", () => {
    for (const child of running) signalChild(child, "SIGKILL");
  });
}

/** Signals a command that has not ended: the group, if that is permitted. */
function signalChild(child: Deno.ChildProcess, signal: Deno.Signal): void {
  if (!running.has(child)) return;
  try {
    try {
      killGroup(child.pid, signal);
    } catch {
      child.kill(signal);
    }
  } catch {
    // It has already ended
  }
}

/** The variables that UCSPI defines. */
function describeEnds(
  { localAddr }: Deno.Conn,
  remoteAddr: Deno.Addr,
): Record<string, string> {
  if ("hostname" in localAddr && "hostname" in remoteAddr) {
    return {
      PROTO: "TCP",
      TCPLOCALIP: localAddr.hostname.replace(MAPPED_REGEXP, ""),
      TCPLOCALPORT: String(localAddr.port),
      TCPREMOTEIP: remoteAddr.hostname.replace(MAPPED_REGEXP, ""),
      TCPREMOTEPORT: String(remoteAddr.port),
    };
  }
  return {
    PROTO: "UNIX",
    ...("path" in localAddr &&
      { UNIXLOCALPATH: variable(localAddr.path ?? "") }),
    // Most clients have none
    ...("path" in remoteAddr && remoteAddr.path &&
      { UNIXREMOTEPATH: variable(remoteAddr.path) }),
  };
}

/** A path as a variable, which can't hold an abstract path's zero byte. */
function variable(path: string): string {
  return path.replaceAll("\0", "@");
}
