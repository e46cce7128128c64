/**
 * A line between two threads. Bytes go through memory that both share, which
 * takes a third of the time of a message port for what one turn of a relay
 * gathers. Other messages, and bytes that find no room, go by the port.
 *
 * Each message in memory says how many went by the port before it, and the port
 * is read only after the memory, so that none overtakes another.
 *
 * @module
 */

import { ProtocolError } from "./dialect.ts";
import type { MessageHandler, RunnerPort } from "../runner/runner.ts";

/** The places of what was written and of what was read, in bytes. */
const HEAD = 0;
const TAIL = 1;
const HEADER = 8;
/** Before each message: its length, and how many went by the port. */
const PREFIX = 8;
/**
 * A reader that finds messages this often in a row lets the event loop turn.
 * Its first turn loads node's timers, which takes most of a short thread's life.
 */
const ROUNDS = 16;
/** A power of two. The port moves longer messages, which costs no more. */
const SIZE = 262_144;

/** A line of messages: a runner, the port in it, or memory between the two. */
export type Line = Pick<RunnerPort, "onmessage" | "post">;

/** A runner's end of it, which knows what was not sent yet. */
export type RunnerLine = Line & Pick<RunnerPort, "backlog" | "flushed">;

/** What a hub and its runner share. */
export interface RelayMemory {
  /** The number of requests that the runner has begun. */
  begun: Int32Array;
  /** Grows while its handlers go on. */
  progress: Int32Array;
  toRunner: SharedArrayBuffer;
  fromRunner: SharedArrayBuffer;
}

/** Makes the memory for a hub and its runner. */
export function newRelayMemory(): RelayMemory {
  return {
    begun: new Int32Array(new SharedArrayBuffer(4)),
    progress: new Int32Array(new SharedArrayBuffer(4)),
    toRunner: new SharedArrayBuffer(HEADER + SIZE),
    fromRunner: new SharedArrayBuffer(HEADER + SIZE),
  };
}

/** One direction of the memory. */
class Ring {
  /** The number of bytes that this end has written or read. */
  place = 0;
  /** The number of messages that this end has sent or received by the port. */
  posted = 0;
  readonly places: Int32Array;
  readonly words: Int32Array;
  readonly bytes: Uint8Array;

  constructor(memory: SharedArrayBuffer) {
    this.places = new Int32Array(memory, 0, 2);
    this.words = new Int32Array(memory, HEADER);
    this.bytes = new Uint8Array(memory, HEADER);
  }
}

/** The end of a thread or of its owner. */
export class MemoryLine implements RunnerLine {
  readonly backlog = 0;
  onmessage: MessageHandler | null = null;
  #port: Line;
  #broken: (error: unknown) => void;
  #incoming: Ring;
  #outgoing: Ring;
  #isStopped = false;

  /**
   * Constructs it.
   *
   * @param port Carries what does not go through the memory.
   * @param incoming The memory that the other end writes.
   * @param outgoing The memory that the other end reads.
   * @param broken Called once if a message from the memory can't be taken.
   */
  constructor(
    port: Line,
    incoming: SharedArrayBuffer,
    outgoing: SharedArrayBuffer,
    broken: (error: unknown) => void,
  ) {
    this.#port = port;
    this.#incoming = new Ring(incoming);
    this.#outgoing = new Ring(outgoing);
    this.#broken = broken;
    port.onmessage = (message) => this.#receive(message);
    queueMicrotask(() => void this.#listen());
  }

  /** Sends a message. */
  post(message: unknown, transfer?: Transferable[]): void {
    if (message instanceof Uint8Array && this.#write(message)) return;
    this.#port.post(message, transfer); // throws for what can't be cloned
    this.#outgoing.posted = this.#outgoing.posted + 1 | 0;
  }

  flushed(): Promise<void> {
    return Promise.resolve();
  }

  /** Takes what is in the memory, and nothing later. */
  stop(): void {
    this.#drain();
    this.#isStopped = true;
    Atomics.notify(this.#incoming.places, HEAD);
  }

  #write(message: Uint8Array): boolean {
    const ring = this.#outgoing;
    const { length } = message;
    const head = ring.place;
    const used = head - Atomics.load(ring.places, TAIL) | 0;
    if (used + sizeOf(length) > SIZE) return false;
    const at = head & SIZE - 1;
    ring.words[at >> 2] = length;
    ring.words[(at >> 2) + 1] = ring.posted;
    const start = at + PREFIX & SIZE - 1;
    const first = Math.min(length, SIZE - start);
    ring.bytes.set(
      first < length ? message.subarray(0, first) : message,
      start,
    );
    if (first < length) ring.bytes.set(message.subarray(first), 0);
    ring.place = head + sizeOf(length) | 0;
    Atomics.store(ring.places, HEAD, ring.place);
    Atomics.notify(ring.places, HEAD);
    return true;
  }

  /** Takes a message that came by the port. */
  #receive(message: unknown): void {
    this.#drain();
    this.#incoming.posted = this.#incoming.posted + 1 | 0;
    this.#take(message);
    this.#drain();
  }

  #take(message: unknown): void {
    try {
      this.onmessage?.(message);
    } catch (error) {
      this.#isStopped = true;
      throw error;
    }
  }

  /**
   * Takes the messages in the memory that don't follow one of the port.
   *
   * @returns The place up to which it has looked.
   */
  #drain(): number {
    const ring = this.#incoming;
    const head = Atomics.load(ring.places, HEAD);
    try {
      while (ring.place !== head && !this.#isStopped) {
        const at = ring.place & SIZE - 1;
        if ((ring.words[(at >> 2) + 1]! - ring.posted | 0) > 0) break;
        const length = ring.words[at >> 2]!;
        const left = head - ring.place | 0;
        // Anything may stand there. The size of a huge length would be negative
        if (
          length < 1 || length > left || sizeOf(length) > left || left > SIZE
        ) {
          throw new ProtocolError("Cannot read the memory of a relay");
        }
        const message = copy(ring.bytes, at + PREFIX & SIZE - 1, length);
        ring.place = ring.place + sizeOf(length) | 0;
        Atomics.store(ring.places, TAIL, ring.place);
        this.#take(message);
      }
    } catch (error) {
      this.#isStopped = true;
      this.#broken(error);
    }
    return head;
  }

  async #listen(): Promise<void> {
    const { places } = this.#incoming;
    let rounds = 0;
    while (!this.#isStopped) {
      const { async, value } = Atomics.waitAsync(places, HEAD, this.#drain());
      if (async) await value;
      else if (++rounds < ROUNDS) continue;
      // The event loop must turn while the other end goes on writing
      else await new Promise((resolve) => setImmediate(resolve));
      rounds = 0;
    }
  }
}

function copy(ring: Uint8Array, start: number, length: number): Uint8Array {
  const message = new Uint8Array(length);
  const first = Math.min(length, SIZE - start);
  message.set(ring.subarray(start, start + first));
  if (first < length) message.set(ring.subarray(0, length - first), first);
  return message;
}

/** The bytes that a message takes: prefixes must not be split. */
function sizeOf(length: number): number {
  return PREFIX + (length + 7 & ~7);
}
