/**
 * A handler that runs a command.
 *
 * @module
 */

import { BaseRequestHandler } from "./base_request_handler.ts";

const BUFFER_SIZE = 65_536;
/** How long a command has to end after SIGTERM. */
const KILL_AFTER_MS = 1_000;
const MAPPED_REGEXP = /^::ffff:(?=\d+\.)/i;

/**
 * Runs a command for each connection: what the client sends is the command's
 * stdin, what the command writes to stdout is sent to the client. No shell is
 * involved. Needs `--allow-run` for the command.
 *
 * When the client ends its direction, stdin ends; when the command closes
 * stdout, the client sees the end. The connection is closed once the command
 * has exited and all its output is sent; its exit code does not matter. A slow side
 * slows the other one down: nothing piles up in between.
 *
 * A command whose client is gone, or that the closing server has waited for
 * long enough, gets SIGTERM, and SIGKILL a second later. A client that closes
 * without a reset looks like one that only ends its direction: a command that
 * takes no notice of the end of stdin is ended at its next output. Only the
 * command itself is ended, not what it has started. What it writes to stderr
 * goes to the server's.
 *
 * The command finds the addresses in its environment, as under UCSPI's
 * `tcpserver`: `PROTO` (`TCP`), `TCPREMOTEIP`, `TCPREMOTEPORT`, `TCPLOCALIP`
 * and `TCPLOCALPORT`; on a Unix socket `PROTO` is `UNIX`, with
 * `UNIXLOCALPATH`, and `UNIXREMOTEPATH` for a client that has one.
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
  /** The program: a name that is looked for in `PATH`, or a path. */
  abstract command: string | URL;
  /** Its arguments. */
  args: readonly string[] = [];
  /** The folder to run it in; `undefined` for the server's own. */
  cwd: string | URL | undefined;
  /** What is added to its environment. */
  env: Readonly<Record<string, string>> = {};

  /**
   * Runs the command to its end.
   *
   * @throws {Deno.errors.NotFound} If there is no such command.
   * @throws {Deno.errors.NotCapable} Without `--allow-run` for it.
   */
  override async handle(): Promise<void> {
    const child = this.#spawn();
    const stdin = child.stdin.getWriter();
    const stdout = child.stdout.getReader();
    const { signal } = this;
    let gone: { error: unknown } | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const end = () => {
      signalChild(child, "SIGTERM");
      timer ??= setTimeout(() => signalChild(child, "SIGKILL"), KILL_AFTER_MS);
      // Its own children may hold stdout open
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
    over = true;
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    stdin.abort().catch(() => {}); // it may be waiting for the client
    if (gone !== null) throw (gone as { error: unknown }).error;
  }

  #spawn(): Deno.ChildProcess {
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
      }).spawn();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      error.message = `Cannot run "${command}": ${error.message}`;
      throw error;
    }
  }

  /** Gives the command what the client sends; rejects when that is gone. */
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

  /** Gives the client what the command writes. */
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

function signalChild(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch {
    // It has ended meanwhile
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
    ...("path" in localAddr && { UNIXLOCALPATH: localAddr.path ?? "" }),
    // Most clients have none
    ...("path" in remoteAddr && remoteAddr.path &&
      { UNIXREMOTEPATH: remoteAddr.path }),
  };
}
