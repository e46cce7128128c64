/**
 * What is printed about errors that no hook wanted.
 *
 * @module
 */

import { formatAddress } from "../addresses.ts";

const RULE = "-".repeat(40);
const encoder = new TextEncoder();

/** Prints an error in one write, so that reports don't run into each other. */
export function printError(
  error: unknown,
  clientAddress: Deno.Addr | null,
): void {
  const doing = clientAddress === null
    ? "accepting a request"
    : `processing of request from ${formatAddress(clientAddress)}`;
  const text = `${RULE}\nException occurred during ${doing}\n${
    describe(error)
  }\n${RULE}\n`;
  try {
    Deno.stderr.writeSync(encoder.encode(text));
  } catch {
    // Nobody reads stderr any more; that must not stop the server
  }
}

function describe(error: unknown, seen: unknown[] = []): string {
  if (!(error instanceof Error)) return String(error);
  const text = error.stack ?? `${error.name}: ${error.message}`;
  const { cause } = error;
  return cause === undefined || seen.includes(cause)
    ? text
    : `${text}\nCaused by ${describe(cause, [...seen, error])}`;
}
