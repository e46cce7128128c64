/**
 * What the command line prints.
 *
 * @module
 */

const encoder = new TextEncoder();

/** Prints a line on stdout. */
export function printLine(line: string): void {
  write(Deno.stdout, line);
}

/** Prints a line on stderr. */
export function printNote(line: string): void {
  write(Deno.stderr, line);
}

/** Prints an error as one line on stderr. */
export function printProblem(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  printNote(`error: ${message.trim().replaceAll(/\s*\n\s*/g, "; ")}`);
}

function write(stream: typeof Deno.stdout, line: string): void {
  const bytes = encoder.encode(`${line}\n`);
  try {
    for (let sent = 0; sent < bytes.length;) {
      sent += stream.writeSync(bytes.subarray(sent));
    }
  } catch {
    // Nobody reads any more (`| head`): that must not stop a server
  }
}
