/**
 * What servers print on stderr.
 *
 * @module
 */

const MAX_WAITING_BYTES = 1_000_000;
/** A non-blocking stderr is full: when to try again. */
const RETRY_MS = 10;
const encoder = new TextEncoder();

let waiting: Uint8Array[] = [];
let size = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

/**
 * Prints whole lines, in the order of the calls, also where stderr is
 * non-blocking and full. What nobody reads is dropped at the end.
 */
export function printOnStderr(text: string): void {
  if (size > MAX_WAITING_BYTES) return;
  const bytes = encoder.encode(text);
  waiting.push(bytes);
  size += bytes.length;
  if (timer === undefined) print();
}

function print(): void {
  timer = undefined;
  try {
    for (let bytes; (bytes = waiting[0]) !== undefined;) {
      const sent = Deno.stderr.writeSync(bytes);
      size -= sent;
      if (sent === bytes.length) waiting.shift();
      else waiting[0] = bytes.subarray(sent);
    }
  } catch (error) {
    if (error instanceof Deno.errors.WouldBlock) {
      timer = setTimeout(print, RETRY_MS);
      return Deno.unrefTimer(timer);
    }
    // A closed stderr must not stop the server
    waiting = [];
    size = 0;
  }
}
