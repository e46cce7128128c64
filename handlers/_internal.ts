/**
 * The calls from a server to its handlers, and from these to their readers and
 * writers. They are symbols: user classes can't collide with them.
 *
 * @module
 */

/** Server to handler: time is up, give up. */
export const abort: unique symbol = Symbol("abort");
/** Server to handler: the server closes, begin nothing new. */
export const drain: unique symbol = Symbol("drain");
/** Server to handler: the request is over, clear timers. */
export const release: unique symbol = Symbol("release");
/**
 * Of a handler: how long it may take to end after an abort, in milliseconds.
 * Absent, it is the server's own short time.
 */
export const grace: unique symbol = Symbol("grace");
/**
 * Of a handler: whether it reads only so that it never misses what the client
 * sends. Then a client that sends nothing keeps nobody waiting.
 */
export const readsAhead: unique symbol = Symbol("readsAhead");
/** Handler to reader: the writer to flush before a wait. */
export const pair: unique symbol = Symbol("pair");
/** To a writer: send the buffered bytes; nobody awaits it. */
export const sendHeld: unique symbol = Symbol("sendHeld");
/** Handler to writer: send the buffered bytes, report an unreported failure. */
export const finish: unique symbol = Symbol("finish");
/** The key of a datagram request's bytes in their receive buffer. */
export const received: unique symbol = Symbol("received");

/** A packet's bytes. Read them, but don't keep them: the buffer is shared. */
export function bytesOf(
  request: { packet: Uint8Array; [received]?: Uint8Array },
): Uint8Array {
  return request[received] ?? request.packet;
}
