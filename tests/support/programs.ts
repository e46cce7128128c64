/** Programs that tests run: clients that others wrote, and servers of our own. */

const decoder = new TextDecoder();

function isInstalled(command: string): boolean {
  const paths = (Deno.env.get("PATH") ?? "").split(":");
  return paths.some((path) => {
    try {
      return Deno.statSync(`${path}/${command}`).isFile;
    } catch {
      return false;
    }
  });
}

const missing = new Set<string>();

/** Options of a test that needs a command; says so once where it is missing. */
export function needs(command: string): { ignore: boolean } {
  const ignore = !isInstalled(command);
  if (ignore && !missing.has(command)) {
    missing.add(command);
    // deno-lint-ignore no-console
    console.log(`${command} is not installed: tests that need it are skipped`);
  }
  return { ignore };
}

/** Runs a program to its end and gives what it printed. */
export async function run(
  command: string,
  args: (string | number)[],
  input = "",
): Promise<string> {
  const child = new Deno.Command(command, {
    args: args.map(String),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const written = writer.write(new TextEncoder().encode(input))
    .then(() => writer.close()).catch(() => {}); // it may read nothing
  const { success, stdout, stderr } = await child.output();
  await written;
  const text = decoder.decode(stdout);
  if (success) return text;
  throw new Error(
    `${command} ${args.join(" ")} failed: ${text}${decoder.decode(stderr)}`,
  );
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
