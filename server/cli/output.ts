/**
 * The output of the command line.
 *
 * @module
 */

import { inTime } from "../../workers/base/waits.ts";
import { describeProblem, failure } from "./problems.ts";

/** Text that waits for the reader of stdout; more lines are dropped. */
const MAX_WAITING = 1_000_000;
/** How long the end of the program waits for a reader. */
const LAST_WAIT_MS = 1_000;
/** A non-blocking stdout is full: when to try again. */
const RETRY_MS = 10;

const encoder = new TextEncoder();

/** Lines that stdout has not taken yet, and how many were dropped. */
let waiting = "";
let dropped = 0;
let printing: Promise<void> | null = null;
/** Whether stdout failed in another way than by being closed. */
let failed = false;

/**
 * Prints a line on stdout. It never blocks: a reader that stalls loses lines,
 * and the server goes on.
 */
export function printLine(line: string): void {
  if (shown.length > 0 && Deno.stdout.isTerminal()) {
    return writeAll(`${erase()}${line}\n${join(shown)}`);
  }
  if (waiting.length > MAX_WAITING) return void dropped++;
  waiting += `${line}\n`;
  printing ??= printWaiting();
}

/**
 * Settles when stdout has taken all lines, or after a second; false if it could
 * not take some.
 */
export async function printed(): Promise<boolean> {
  if (printing !== null) await inTime(printing, LAST_WAIT_MS);
  return !failed;
}

async function printWaiting(): Promise<void> {
  try {
    while (waiting !== "") {
      if (dropped > 0) {
        waiting += `(${dropped} lines were dropped: nobody read them)\n`;
        dropped = 0;
      }
      const bytes = encoder.encode(waiting);
      waiting = "";
      await writeToStdout(bytes);
    }
  } catch (error) {
    // A closed output (`| head`) or a full disk must not stop a server
    waiting = "";
    if (!failed && !isClosed(error)) {
      failed = true;
      printProblem(error);
    }
  }
  printing = null;
}

/** Writes all of it, as soon as stdout takes it. */
export async function writeToStdout(bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) {
    try {
      sent += await Deno.stdout.write(bytes.subarray(sent));
    } catch (error) {
      if (isClosed(error)) throw error;
      if (!(error instanceof Deno.errors.WouldBlock)) {
        throw failure("Cannot write to stdout", error);
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

/** Whether an error says that nobody reads a pipe, or the terminal is closed. */
export function isClosed(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe ||
    Object(error).code === "EIO";
}

/** Prints a line on stderr. */
export function printNote(line: string): void {
  writeAll(`${erase()}${line}\n${join(shown)}`);
}

/** Prints an error as one line on stderr. */
export function printProblem(error: unknown): void {
  printNote(`error: ${describeProblem(error)}`);
}

/** The status lines at the bottom of the terminal, on stderr. */
let shown: string[] = [];

/** Replaces the lines at the bottom of the terminal. */
export function show(lines: string[]): void {
  const { columns, rows } = terminalSize();
  const fitting = lines.slice(0, rows - 1)
    .map((line) => line.slice(0, columns - 1));
  writeAll(erase() + join(fitting));
  shown = fitting;
}

/** Leaves what is shown where it is; what comes next is shown below. */
export function leave(): void {
  shown = [];
}

function terminalSize(): { columns: number; rows: number } {
  try {
    const { columns, rows } = Deno.consoleSize();
    // A terminal may not know its size
    return { columns: columns || 80, rows: rows || 24 };
  } catch {
    return { columns: 80, rows: 24 }; // it was closed
  }
}

function erase(): string {
  return shown.length === 0 ? "" : `\r\x1b[${shown.length}A\x1b[J`;
}

/** With an end of line at the end: others may print an error there. */
function join(lines: string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}

function writeAll(text: string): void {
  const bytes = encoder.encode(text);
  try {
    for (let sent = 0; sent < bytes.length;) {
      sent += Deno.stderr.writeSync(bytes.subarray(sent));
    }
  } catch {
    // A closed output must not stop a server
  }
}
