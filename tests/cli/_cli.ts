/** Runs the command line as users do: as a program of its own. */

import "../support/leaks.ts";
import { within } from "../support/waiting.ts";

/** The path of the command line's module. */
export const CLI = new URL("../../server/cli.ts", import.meta.url).pathname;
const encoder = new TextEncoder();

/** What a program has printed on one stream so far. */
export class Transcript {
  text = "";
  readonly ended: Promise<void>;
  #reader: ReadableStreamDefaultReader<string>;
  #changed: (() => void) | null = null;
  #done = false;

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#reader = stream.pipeThrough(new TextDecoderStream()).getReader();
    this.ended = this.#collect();
  }

  /** Waits until what was printed matches. */
  async until(expected: RegExp): Promise<RegExpMatchArray> {
    try {
      return await within(`${expected}`, this.#match(expected));
    } catch (cause) {
      throw new Error(`No ${expected} in: ${this.text}`, { cause });
    }
  }

  async #match(expected: RegExp): Promise<RegExpMatchArray> {
    for (;;) {
      const match = this.text.match(expected);
      if (match !== null) return match;
      if (this.#done) throw new Error("It has ended");
      await new Promise<void>((resolve) => this.#changed = resolve);
    }
  }

  /** Closes our end of the pipe. */
  async cancel(): Promise<void> {
    await this.#reader.cancel();
  }

  async #collect(): Promise<void> {
    for (let chunk; !(chunk = await this.#reader.read()).done;) {
      this.text += chunk.value;
      this.#changed?.();
    }
    this.#done = true;
    this.#changed?.();
  }
}

/** A running program; killed at the end of its block if it still runs. */
export class Program implements AsyncDisposable {
  readonly stdout: Transcript;
  readonly stderr: Transcript;
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  #ended = false;

  constructor(
    command: string,
    args: string[],
    options: Pick<Deno.CommandOptions, "cwd" | "env" | "detached"> = {},
  ) {
    this.#child = new Deno.Command(command, {
      args,
      ...options,
      env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", ...options.env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#stdin = this.#child.stdin.getWriter();
    this.stdout = new Transcript(this.#child.stdout);
    this.stderr = new Transcript(this.#child.stderr);
  }

  async type(text: string): Promise<void> {
    await this.#stdin.write(encoder.encode(text));
  }

  async endInput(): Promise<void> {
    await this.#stdin.close().catch(() => {}); // the program may have ended
  }

  get pid(): number {
    return this.#child.pid;
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Waits for the end; returns the exit code. */
  async code(): Promise<number> {
    const { code } = await this.#child.status;
    this.#ended = true;
    await this.stdout.ended;
    await this.stderr.ended;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (!this.#ended) this.#child.kill("SIGKILL");
    } catch {
      // It has ended, and nobody has waited for that yet
    }
    await this.code();
    await this.endInput();
  }
}

/** Starts the command line. */
export function cli(...args: string[]): Program {
  return new Program(Deno.execPath(), ["run", "-A", CLI, ...args]);
}

/** A server that is ready, and where it serves. */
export interface Served extends AsyncDisposable {
  program: Program;
  port: number;
}

/**
 * Starts `serve` and waits until it is ready. Where it has replicas, one is
 * enough, unless the arguments ask for more.
 */
export async function serve(...args: string[]): Promise<Served> {
  const isAlone = args.includes("event-loop") || args.includes("--workers");
  const program = cli("serve", ...args, ...isAlone ? [] : ["--workers", "1"]);
  try {
    // With --log the line is on stderr
    const out = args.includes("--log") ? program.stderr : program.stdout;
    const [, port] = await out.until(/^Serving .* on \S*?:?(\d*) \(.*\n/);
    return {
      program,
      port: Number(port),
      [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
    };
  } catch (error) {
    await program[Symbol.asyncDispose]();
    throw new Error(program.stderr.text, { cause: error });
  }
}

/** Runs the command line to its end. */
export async function runCli(
  args: string[],
  input = "",
): Promise<{ code: number; stdout: string; stderr: string }> {
  await using program = cli(...args);
  if (input !== "") await program.type(input);
  await program.endInput();
  const code = await program.code();
  const { stdout, stderr } = program;
  return { code, stdout: stdout.text, stderr: stderr.text };
}

/** Makes a folder that is removed at the end of the block. */
export async function makeDir(): Promise<AsyncDisposable & { path: string }> {
  const path = await Deno.makeTempDir();
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

/** A connection that talks in text. */
export class Talker implements Disposable {
  readonly #connection: Deno.Conn;
  #buffer: Uint8Array = new Uint8Array(65_536);

  constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  static async connect(port: number): Promise<Talker> {
    return new Talker(await Deno.connect({ port }));
  }

  async say(text: string): Promise<void> {
    await this.#connection.write(encoder.encode(text));
  }

  /** What comes next; "" at the end. */
  async hear(): Promise<string> {
    const n = await this.#connection.read(this.#buffer);
    return new TextDecoder().decode(this.#buffer.subarray(0, n ?? 0));
  }

  get address(): Deno.Addr {
    return this.#connection.localAddr;
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}
