/** Runs clients and servers in processes of their own. */

const decoder = new TextDecoder();

/** Whether python3 is there; prints a line where it is not. */
export const hasPython: boolean = findPython();

function findPython(): boolean {
  try {
    const { success } = new Deno.Command("python3", { args: ["--version"] })
      .outputSync();
    if (success) return true;
  } catch {
    // Not installed
  }
  // deno-lint-ignore no-console
  console.log("python3 is not installed: tests that need it are skipped");
  return false;
}

/** Runs a Python program to its end and gives what it printed. */
export async function python(
  source: string,
  ...args: (string | number)[]
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("python3", {
    args: ["-c", source, ...args.map(String)],
    stdin: "null",
  }).output();
  if (!success) throw new Error(`Python failed: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout).trimEnd();
}

/** A program whose output is read line by line. */
export class Program implements AsyncDisposable {
  readonly child: Deno.ChildProcess;
  #lines: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(command: Deno.Command) {
    this.child = command.spawn();
    this.#lines = this.child.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
  }

  /** Its next line; null at the end of its output. */
  async readLine(): Promise<string | null> {
    while (!this.#text.includes("\n")) {
      const { value, done } = await this.#lines.read();
      if (done) return null;
      this.#text += value;
    }
    const at = this.#text.indexOf("\n");
    const line = this.#text.slice(0, at);
    this.#text = this.#text.slice(at + 1);
    return line;
  }

  /** Ends it, if it has not ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.child.kill("SIGKILL");
    } catch {
      // It has ended already
    }
    await this.#lines.cancel();
    await this.child.status;
  }
}

/** A Deno of its own for a program of this folder, under a descriptor limit. */
export function startDeno(
  file: string,
  options: {
    descriptors?: number;
    args?: string[];
    permissions?: string[];
    /** Where its errors go, instead of to the test's. */
    stderr?: string;
  } = {},
): Program {
  const { descriptors, args = [], permissions = ["-A"], stderr } = options;
  const limit = descriptors === undefined ? "" : `ulimit -n ${descriptors};`;
  const path = new URL(file, import.meta.url).pathname;
  return new Program(
    new Deno.Command("sh", {
      args: [
        "-c",
        `${limit} exec "$@"${stderr === undefined ? "" : ` 2>${stderr}`}`,
        "sh",
        Deno.execPath(),
        "run",
        ...permissions,
        "--quiet",
        "--no-prompt",
        "--no-check",
        path,
        ...args,
      ],
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }),
  );
}

/** A Python program that goes on while the test does. */
export function startPython(
  source: string,
  ...args: (string | number)[]
): Program {
  return new Program(
    new Deno.Command("python3", {
      args: ["-u", "-c", source, ...args.map(String)],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }),
  );
}
