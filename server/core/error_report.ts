/**
 * Prints errors that no hook handles.
 *
 * @module
 */

import { lacksDescriptors } from "./descriptors.ts";
import { readable } from "./disconnect.ts";
import { formatAddress } from "../addresses.ts";

const RULE = "-".repeat(40);
const encoder = new TextEncoder();

/** Prints an error in one write, so that reports don't mix. */
export function printError(
  error: unknown,
  clientAddress: Deno.Addr | null,
  doing: string = clientAddress === null
    ? "accepting a request"
    : `processing of request from ${formatAddress(clientAddress)}`,
): void {
  // Without a free descriptor, formatting a stack with TypeScript files ends
  // the program
  const shown = readable(error);
  const bare = lacksDescriptors(shown);
  let described;
  try {
    described = describe(shown, bare);
  } catch {
    described = "What was thrown can't be described: that throws as well";
  }
  const text =
    `${RULE}\nException occurred during ${doing}\n${described}\n${RULE}\n`;
  try {
    Deno.stderr.writeSync(encoder.encode(text));
  } catch {
    // A closed stderr must not stop the server
  }
}

function describe(
  error: unknown,
  bare: boolean,
  seen: unknown[] = [],
): string {
  if (!(error instanceof Error)) return String(error);
  const { name, message, cause } = error;
  const text = bare
    ? `${name}: ${message} (no file descriptor is free: no stack)`
    : error.stack ?? `${name}: ${message}`;
  return cause === undefined || seen.includes(cause)
    ? text
    : `${text}\nCaused by ${describe(cause, bare, [...seen, error])}`;
}
