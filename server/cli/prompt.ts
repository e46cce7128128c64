/**
 * The prompt of the command line's client.
 *
 * @module
 */

import { isClosed, writeToStdout } from "./output.ts";
import { failure } from "./problems.ts";

const PROMPT = "> ";
const ERASE_LINE = "\r\x1b[K";
const NEWLINE = 10;
/** How long a typed line may stay without an answer before the next prompt. */
const PATIENCE_MS = 500;

const encoder = new TextEncoder();

/** Reads lines and prints answers, on a terminal with a prompt between them. */
export class Prompt {
  readonly #interactive: boolean = Deno.stdin.isTerminal() &&
    Deno.stdout.isTerminal();
  #shown = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Reads stdin. */
  async read(buffer: Uint8Array): Promise<number | null> {
    try {
      return await Deno.stdin.read(buffer);
    } catch (error) {
      throw failure("Cannot read stdin", error);
    }
  }

  /** Asks for a line. */
  async show(): Promise<void> {
    clearTimeout(this.#timer);
    if (!this.#interactive || this.#shown) return;
    this.#shown = true;
    await writeAll(encoder.encode(PROMPT));
  }

  /** A line was typed: the next prompt comes behind its answer. */
  typed(): void {
    if (!this.#interactive) return;
    this.#shown = false;
    this.#timer = setTimeout(() => void this.show(), PATIENCE_MS);
  }

  /** Prints received bytes. */
  async print(bytes: Uint8Array): Promise<void> {
    if (this.#shown) await writeAll(encoder.encode(ERASE_LINE));
    this.#shown = false;
    await writeAll(bytes);
    if (bytes.at(-1) === NEWLINE) await this.show();
  }

  /** Leaves the terminal as it was found. */
  async end(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#shown) await writeAll(encoder.encode("\n"));
    this.#shown = false;
  }
}

async function writeAll(bytes: Uint8Array): Promise<void> {
  try {
    await writeToStdout(bytes);
  } catch (error) {
    // The output is closed (`| head`): nothing is left to do
    if (isClosed(error)) Deno.exit(0);
    throw error;
  }
}
