/**
 * What a server tells its handlers; not for users, who override other methods.
 *
 * @module
 */

/** Server to handler: the time is up, give up. */
export const abort: unique symbol = Symbol("abort");
/** Server to handler: the server closes, begin nothing new. */
export const drain: unique symbol = Symbol("drain");
/** Server to handler: the request is over, let go of timers. */
export const release: unique symbol = Symbol("release");
