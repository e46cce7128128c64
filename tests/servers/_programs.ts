/** Runs clients and servers in processes of their own. */

import { Program, run } from "../support/programs.ts";

/** Runs a Python program to its end and gives what it printed. */
export async function python(
  source: string,
  ...args: (string | number)[]
): Promise<string> {
  return (await run("python3", ["-c", source, ...args])).trimEnd();
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
