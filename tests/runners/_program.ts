/** Runs programs of `programs/`, for tests that watch one from outside. */

const PACKAGE_URL = new URL("../../", import.meta.url).href;
const decoder = new TextDecoder();

/** What a program did. */
export interface ProgramResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** The path of a program. */
export function programPath(name: string): string {
  return name.startsWith("/")
    ? name
    : new URL(`./programs/${name}`, import.meta.url).pathname;
}

/** Prepares a Deno of its own for a program. */
export function program(
  name: string,
  flags: string[],
  args: string[] = [],
  env: Record<string, string> = {},
): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--quiet",
      ...flags,
      programPath(name),
      ...args,
    ],
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** Runs a program to its end. */
export async function runProgram(
  name: string,
  flags: string[],
  args: string[] = [],
): Promise<ProgramResult> {
  const { code, stdout, stderr } = await program(name, flags, args).output();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

/** Reads lines of a stream until one matches; leaves the rest. */
export async function readUntil(
  stream: ReadableStream<Uint8Array>,
  expected: RegExp,
): Promise<RegExpMatchArray> {
  const reader = stream.getReader();
  let text = "";
  try {
    while (true) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`Ended without ${expected}: ${text}`);
      text += decoder.decode(value);
      const match = text.match(expected);
      if (match !== null) return match;
    }
  } finally {
    reader.releaseLock();
  }
}

/** Runs `main.ts` of a project of its own, far from this one's deno.json. */
export async function runProject(
  files: Record<string, string>,
  ...flags: string[]
): Promise<ProgramResult> {
  const folder = await Deno.realPath(await Deno.makeTempDir());
  try {
    for (const [name, text] of Object.entries(files)) {
      await Deno.mkdir(new URL(".", `file://${folder}/${name}`), {
        recursive: true,
      });
      await Deno.writeTextFile(
        `${folder}/${name}`,
        text.replaceAll("PACKAGE/", PACKAGE_URL),
      );
    }
    return await runProgram(`${folder}/main.ts`, flags);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
