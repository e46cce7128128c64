/**
 * Opening sockets with errors that say where.
 *
 * @module
 */

import { formatAddress } from "../addresses.ts";

/**
 * Calls `open`; what it throws keeps its class and gets the address into its
 * message.
 */
export function listenAt<S>(address: Deno.Addr, open: () => S): S {
  try {
    return open();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const at = formatAddress(address);
    const message = `Cannot listen on "${at}": ${error.message}`;
    const ErrorClass = error.constructor as ErrorConstructor;
    throw Object.assign(new ErrorClass(message, { cause: error }), {
      ...("code" in error && { code: error.code }),
    });
  }
}

/** Throws where packets can't be received, or ports not be shared. */
export function assertUnstableNet(what: string): void {
  // Without the flag Deno leaves this function out, while it ends the program
  // at the first use of other parts of the same API
  if (Deno.listenDatagram === undefined) {
    throw new Deno.errors.NotSupported(
      `Cannot ${what} without Deno's flag --unstable-net; give it to "deno run" or put "unstable": ["net"] into deno.json`,
    );
  }
}
