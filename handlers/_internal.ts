/**
 * The calls from a server to its handlers, and from these to their readers and
 * writers. They are symbols: user classes can't collide with them.
 *
 * @module
 */

/** Server to handler: time is up, give up. */
export const abort: unique symbol = Symbol("abort");
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
/** Of a handler: its client's address, as the server got it. */
export const client: unique symbol = Symbol("client");
/**
 * Of a handler's class: whether it answers any packet. Two servers of that kind
 * would answer each other for ever, so it gets no packets of servers.
 */
export const answersAll: unique symbol = Symbol("answersAll");
/** Handler to reader: the writer to flush before a wait. */
export const pair: unique symbol = Symbol("pair");
/** To a writer: send the buffered bytes; nobody awaits it. */
export const sendHeld: unique symbol = Symbol("sendHeld");
/** Handler to writer: send the buffered bytes, report an unreported failure. */
export const finish: unique symbol = Symbol("finish");
/** The key of a datagram request's bytes in their receive buffer. */
export const received: unique symbol = Symbol("received");
/** To a writer: do so many bytes wait that the reader must wait as well? */
export const crowded: unique symbol = Symbol("crowded");
/** To a writer: settles when the reader may go on. */
export const room: unique symbol = Symbol("room");
/** The key of a connection's {@linkcode Watch}. */
export const watch: unique symbol = Symbol("watch");

/** Takes the outcome of one read. */
export interface ReadSink {
  /** The number of bytes, or `null` at the end. */
  onRead(count: number | null): void;
  onError(error: unknown): void;
  /** The handler has ended: nobody may be left to handle an error. */
  onOver(): void;
}

/** What knows the reads and writes of a connection. */
export interface Watch {
  /** The reader that reads ahead of the handler, once there is one. */
  reader: { readonly isIdle: boolean } | null;
  /** The writer to flush before the end of the handler's side. */
  writer: { flush(): Promise<void> } | null;
  /** Begins a read that a drain can end. */
  receive(into: Uint8Array, sink: ReadSink): void;
  /** The handler says whether it is in the middle of a request. */
  mark(inRequest: boolean): void;
  /** The handler has ended. */
  release(): void;
}

/** The watch of a connection; `null` if there is none. */
export function watchOf(conn: unknown): Watch | null {
  return (conn as { [watch]?: Watch } | null)?.[watch] ?? null;
}

/** A packet's bytes. Read them, but don't keep them: the buffer is shared. */
export function bytesOf(
  request: { packet: Uint8Array; [received]?: Uint8Array },
): Uint8Array {
  return request[received] ?? request.packet;
}
