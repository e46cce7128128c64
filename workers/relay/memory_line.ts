/**
 * Messages from one thread to another through memory that both share: a third
 * of the time of a message port for what one turn of a relay gathers.
 *
 * A message that finds no room goes by the port. Each message in memory says how
 * many went by the port before it, so that none overtakes another.
 *
 * @module
 */

import { RelayProtocolError } from "./frames.ts";
import type { Post } from "./relay_link.ts";

/** The places of what was written and of what was read, in bytes. */
const HEAD = 0;
const TAIL = 1;
const HEADER = 8;
/** Before each message: its length, and how many went by the port. */
const PREFIX = 8;
/**
 * How often a reader finds more before the event loop turns. The first time
 * loads node's timers, which would take most of a short thread's life.
 */
const ROUNDS = 16;
/** Twice the longest message; a power of two. */
const SIZE = 1_048_576;

/** What a hub and its runner share. */
export interface RelayMemory {
  /** The number of requests that the runner has begun. */
  begun: Int32Array;
  toRunner: SharedArrayBuffer;
  fromRunner: SharedArrayBuffer;
}

/** Makes the memory for a hub and its runner. */
export function newRelayMemory(): RelayMemory {
  return {
    begun: new Int32Array(new SharedArrayBuffer(4)),
    toRunner: new SharedArrayBuffer(HEADER + SIZE),
    fromRunner: new SharedArrayBuffer(HEADER + SIZE),
  };
}

/** The writing end. */
export class LineWriter {
  #places: Int32Array;
  #words: Int32Array;
  #bytes: Uint8Array;
  #post: Post;
  #head = 0;
  #posted = 0;

  constructor(memory: SharedArrayBuffer, post: Post) {
    this.#places = new Int32Array(memory, 0, 2);
    this.#words = new Int32Array(memory, HEADER);
    this.#bytes = new Uint8Array(memory, HEADER);
    this.#post = post;
  }

  /** Sends a message. */
  send(message: Uint8Array, transfer?: Transferable[]): void {
    if (this.#write(message)) return;
    this.#posted = this.#posted + 1 | 0;
    this.#post(message, transfer);
  }

  #write(message: Uint8Array): boolean {
    const { length } = message;
    const head = this.#head;
    const used = head - Atomics.load(this.#places, TAIL) | 0;
    if (used + sizeOf(length) > SIZE) return false;
    const at = head & SIZE - 1;
    this.#words[at >> 2] = length;
    this.#words[(at >> 2) + 1] = this.#posted;
    const start = at + PREFIX & SIZE - 1;
    const first = Math.min(length, SIZE - start);
    this.#bytes.set(
      first < length ? message.subarray(0, first) : message,
      start,
    );
    if (first < length) this.#bytes.set(message.subarray(first), 0);
    this.#head = head + sizeOf(length) | 0;
    Atomics.store(this.#places, HEAD, this.#head);
    Atomics.notify(this.#places, HEAD);
    return true;
  }
}

/** The reading end. */
export class LineReader {
  #places: Int32Array;
  #words: Int32Array;
  #bytes: Uint8Array;
  #take: (message: Uint8Array) => void;
  #broken: (error: Error) => void;
  #tail = 0;
  #received = 0;
  #isStopped = false;

  /**
   * Constructs it.
   *
   * @param memory The memory.
   * @param take Takes a message.
   * @param broken Called once if that throws, or the memory makes no sense.
   */
  constructor(
    memory: SharedArrayBuffer,
    take: (message: Uint8Array) => void,
    broken: (error: Error) => void,
  ) {
    this.#places = new Int32Array(memory, 0, 2);
    this.#words = new Int32Array(memory, HEADER);
    this.#bytes = new Uint8Array(memory, HEADER);
    this.#take = take;
    this.#broken = broken;
    queueMicrotask(() => void this.#listen());
  }

  /** Takes a message that came by the port. */
  receive(message: Uint8Array): void {
    this.drain();
    this.#received = this.#received + 1 | 0;
    this.#take(message);
    this.drain();
  }

  /**
   * Takes the messages that are there: call it before anything else that came
   * by the port.
   *
   * @returns The place up to which it has looked.
   */
  drain(): number {
    const head = Atomics.load(this.#places, HEAD);
    try {
      while (this.#tail !== head && !this.#isStopped) {
        const at = this.#tail & SIZE - 1;
        if ((this.#words[(at >> 2) + 1]! - this.#received | 0) > 0) break;
        const length = this.#words[at >> 2]!;
        const left = head - this.#tail | 0;
        // Anything may stand there. The size of a huge length would be negative
        if (
          length < 1 || length > left || sizeOf(length) > left || left > SIZE
        ) {
          throw new RelayProtocolError("Cannot read the memory of a relay");
        }
        const message = this.#copy(at + PREFIX & SIZE - 1, length);
        this.#tail = this.#tail + sizeOf(length) | 0;
        Atomics.store(this.#places, TAIL, this.#tail);
        this.#take(message);
      }
    } catch (error) {
      this.#isStopped = true;
      this.#broken(error as Error);
    }
    return head;
  }

  /** Takes what is there, and nothing later. */
  stop(): void {
    this.drain();
    this.#isStopped = true;
    Atomics.notify(this.#places, HEAD);
  }

  async #listen(): Promise<void> {
    let rounds = 0;
    while (!this.#isStopped) {
      const { async, value } = Atomics.waitAsync(
        this.#places,
        HEAD,
        this.drain(),
      );
      if (async) await value;
      else if (++rounds < ROUNDS) continue;
      // The event loop must turn while the other end goes on writing
      else await new Promise((resolve) => setImmediate(resolve));
      rounds = 0;
    }
  }

  #copy(start: number, length: number): Uint8Array {
    const message = new Uint8Array(length);
    const first = Math.min(length, SIZE - start);
    message.set(this.#bytes.subarray(start, start + first));
    if (first < length) {
      message.set(this.#bytes.subarray(0, length - first), first);
    }
    return message;
  }
}

/** The bytes that a message takes: prefixes must not be split. */
function sizeOf(length: number): number {
  return PREFIX + (length + 7 & ~7);
}
