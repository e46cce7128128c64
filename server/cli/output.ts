/**
 * The output of the command line.
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

/** The status lines at the bottom of the terminal, on stderr. */
let shown: string[] = [];

/** Replaces the lines at the bottom of the terminal. */
export function show(lines: string[]): void {
  const { columns, rows } = Deno.consoleSize();
  // A terminal may not know its size
  const fitting = lines.slice(0, (rows || 24) - 1)
    .map((line) => line.slice(0, (columns || 80) - 1));
  writeAll(Deno.stderr, erase() + join(fitting));
  shown = fitting;
}

/** Leaves what is shown where it is; what comes next is shown below. */
export function leave(): void {
  shown = [];
}

function erase(): string {
  return shown.length === 0 ? "" : `\r\x1b[${shown.length}A\x1b[J`;
}

/** With an end of line at the end: others may print an error there. */
function join(lines: string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}

function write(stream: typeof Deno.stdout, line: string): void {
  if (shown.length === 0) return writeAll(stream, `${line}\n`);
  writeAll(Deno.stderr, erase());
  writeAll(stream, `${line}\n`);
  writeAll(Deno.stderr, join(shown));
}

function writeAll(stream: typeof Deno.stdout, text: string): void {
  const bytes = encoder.encode(text);
  try {
    for (let sent = 0; sent < bytes.length;) {
      sent += stream.writeSync(bytes.subarray(sent));
    }
  } catch {
    // A closed output (`| head`) must not stop a server
  }
}
