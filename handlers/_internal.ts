/**
 * What a server tells its handlers, and these their readers and writers; not
 * for users, who override other methods.
 *
 * @module
 */

/** Server to handler: the time is up, give up. */
export const abort: unique symbol = Symbol("abort");
/** Server to handler: the server closes, begin nothing new. */
export const drain: unique symbol = Symbol("drain");
/** Server to handler: the request is over, let go of timers. */
export const release: unique symbol = Symbol("release");
/** Handler to reader: the writer whose bytes go before a wait. */
export const pair: unique symbol = Symbol("pair");
/** To a writer: send what you hold, without being waited for. */
export const sendHeld: unique symbol = Symbol("sendHeld");
/** Handler to writer: send what you hold and tell what nobody was told. */
export const finish: unique symbol = Symbol("finish");
/** Under it a datagram request has its bytes where they came to. */
export const received: unique symbol = Symbol("received");

/** A packet's bytes, to be read and not kept: they may lie beside others'. */
export function bytesOf(
  request: { packet: Uint8Array; [received]?: Uint8Array },
): Uint8Array {
  return request[received] ?? request.packet;
}
