/**
 * Opens sockets. Errors contain the address.
 *
 * @module
 */

import { formatAddress } from "../addresses.ts";

/**
 * Calls `open`. Its errors keep their class; their message gets the address.
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

/** Throws without the flag that packets and shared ports need. */
export function assertUnstableNet(what: string): void {
  // Without the flag, Deno lacks this function; using other parts of the API
  // ends the program
  if (Deno.listenDatagram === undefined) {
    throw new Deno.errors.NotSupported(
      `Cannot ${what} without Deno's flag --unstable-net; give it to "deno run" or put "unstable": ["net"] into deno.json`,
    );
  }
}
