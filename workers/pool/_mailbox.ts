import { ByteWriter } from "../codec/byte_writer.ts";
import { decode, encodeInto } from "../codec/codec.ts";

const SIZE = 16 * 1024;
/** A buffer that a rush made larger than this is given back. */
const MAX_KEPT = 4 * SIZE;
/**
 * How long a thread that has nothing to do stays at its mailbox, in milliseconds.
 * Less is dearer: a timer that ends before the system's next tick must be set
 * apart, which takes 4 µs a round trip.
 */
const MAX_WAIT = 5;

/** The memory of a {@linkcode Mailbox}. */
export interface MailboxMemory {
  /** Numbers. */
  control: Int32Array;
  /** A message. */
  bytes: Uint8Array;
}

/** Where the numbers are in the control memory. */
const AT = { state: 0, length: 1, posted: 2 } as const;
const STATE = {
  /** The thread is at work, or on its event loop. */
  away: 0,
  /** The thread waits, or is about to. */
  waiting: 1,
  /** There is a message for the thread. */
  filled: 2,
} as const;

/**
 * A way to a thread that spares it the event loop: after its work it waits at
 * shared memory for a moment, and a small message that comes then is handed
 * over there. That takes half off a round trip.
 *
 * All other messages go by post; each is announced here, so that the thread
 * doesn't wait while there is post for it.
 */
export class Mailbox {
  #control: Int32Array;
  #bytes: Uint8Array;
  #writer = new ByteWriter(0);
  #local = new Uint8Array(0);
  #received = 0;

  /**
   * Constructs one end.
   *
   * @param memory The memory, the same at both ends.
   */
  constructor(memory: MailboxMemory) {
    this.#control = memory.control;
    this.#bytes = memory.bytes;
  }

  /** Makes the memory of a mailbox. */
  static memory(): MailboxMemory {
    return {
      control: new Int32Array(new SharedArrayBuffer(12)),
      bytes: new Uint8Array(new SharedArrayBuffer(SIZE)),
    };
  }

  /**
   * Hands a message over, if the thread waits for one.
   *
   * @param message What is to cross, which must be plain.
   * @returns Whether it was handed over; otherwise it must be posted.
   */
  offer(message: unknown): boolean {
    const control = this.#control;
    if (Atomics.load(control, AT.state) !== STATE.waiting) return false;
    const writer = this.#writer;
    writer.length = 0;
    encodeInto(writer, message);
    const { length } = writer;
    if (length <= SIZE) this.#bytes.set(writer.bytes.subarray(0, length));
    if (writer.bytes.length > MAX_KEPT) writer.bytes = new Uint8Array(SIZE);
    if (length > SIZE) return false;
    control[AT.length] = length;
    return this.#leave(STATE.filled);
  }

  /** Announces a message that goes by post. */
  announce(): void {
    Atomics.add(this.#control, AT.posted, 1);
    this.#leave(STATE.away);
  }

  /** Takes an announcement back. */
  withdraw(): void {
    Atomics.sub(this.#control, AT.posted, 1);
  }

  /** Tells, in the thread, that a message has come by post. */
  received(): void {
    this.#received = (this.#received + 1) | 0;
  }

  /** Says, in the thread, that `wait()` will be called. */
  open(): void {
    Atomics.store(this.#control, AT.state, STATE.waiting);
  }

  /**
   * Waits for a moment, in the thread, after `open()`.
   *
   * @returns A message, or `undefined`: back to the event loop.
   */
  wait(): unknown {
    const control = this.#control;
    if (Atomics.load(control, AT.posted) === this.#received) {
      Atomics.wait(control, AT.state, STATE.waiting, MAX_WAIT);
    }
    const state = Atomics.compareExchange(
      control,
      AT.state,
      STATE.waiting,
      STATE.away,
    );
    if (state !== STATE.filled) return undefined;
    const length = control[AT.length]!;
    // A message's bytes are not read where another thread writes the next.
    if (this.#local.length < length) this.#local = new Uint8Array(SIZE);
    this.#local.set(this.#bytes.subarray(0, length));
    Atomics.store(control, AT.state, STATE.away);
    return decode(this.#local, 0, length);
  }

  #leave(state: number): boolean {
    const control = this.#control;
    const left = Atomics.compareExchange(
      control,
      AT.state,
      STATE.waiting,
      state,
    ) === STATE.waiting;
    if (left) Atomics.notify(control, AT.state);
    return left;
  }
}
