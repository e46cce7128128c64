/**
 * A queue of waiters of all threads, in the order in which they came.
 *
 * Each waiter has a node with its ticket. Waking a waiter takes its node out of
 * the queue and notifies it, so freeing a node never depends on its waiter.
 * Waking hands over nothing: the woken waiter tries again. Until it has tried,
 * a few newcomers may overtake it. If it then fails, it returns with its old
 * ticket, and later waiters get nothing before it. So a lost wake-up (in a
 * thread that has ended or is busy) only delays the others by some ticks, and
 * none waits forever.
 *
 * @module
 */

// The words of a queue. Nodes are known by their index; 0 is none.
const ENROLLED = 0;
const FIRST = 1;
const LAST = 2;
const RESERVED = 3;
const ALLOWANCE = 4;
const BEATS = 5;
// The newest waiter that was woken while an older one has the reservation.
const RESERVED_NEXT = 6;

/** The first word that the owner of a queue may use for itself. */
export const OWN = 7;
/** The size of a queue in bytes. */
export const QUEUE_BYTES = 4 * OWN;

// The lowest bit of a ticket marks a waiter that blocks its thread. Such a
// waiter may be woken between enrolling and sleeping, and is alive
// nevertheless.
const SYNC = 1;

/** How many newcomers may overtake a woken waiter that has not tried yet. */
const MAY_OVERTAKE = 8;

// The words of the nodes. All queues that a thread makes share them: most have
// few waiters, and memory for thousands in each would cost kilobytes.
const MUTEX = 0;
const NEXT_TICKET = 1;
const FREED = 2;
const HIGH_WATER = 3;
const NODES = 4;

// The words of a node. Its waiter sleeps on its ticket, which no other has.
/** What it stands for; 0 if it is unused. */
export const TICKET = 0;
/** The next node. */
export const AFTER = 1;
/** The node before, or what the owner of the list keeps there. */
export const BEFORE = 2;
const NODE_WORDS = 3;

/** Only used pages take memory. */
const MOST_NODES = 2 ** 18;
const END = NODES + MOST_NODES * NODE_WORDS;

// The values of a mutex.
const FREE = 0;
const TAKEN = 1;
const CONTENDED = 2;

/**
 * Lets one thread at a time do something that takes microseconds. Deno never
 * ends a thread in the middle of running code, so the mutex is always released.
 *
 * @typeParam T The type of the result.
 * @param words Memory with a word for the mutex.
 * @param index The word's index.
 * @param act The function to call. It must not wait.
 * @returns Its result.
 */
export function alone<T>(words: Int32Array, index: number, act: () => T): T {
  if (Atomics.compareExchange(words, index, FREE, TAKEN) !== FREE) {
    while (Atomics.exchange(words, index, CONTENDED) !== FREE) {
      Atomics.wait(words, index, CONTENDED);
    }
  }
  try {
    return act();
  } finally {
    if (Atomics.exchange(words, index, FREE) === CONTENDED) {
      Atomics.notify(words, index, 1);
    }
  }
}

/** A word that a sleeper watches; its ticket is there until it is woken. */
export interface WaitSlot {
  words: Int32Array;
  index: number;
  ticket: number;
}

const known = new WeakMap<SharedArrayBuffer, Int32Array>();
let own: SharedArrayBuffer | undefined;

/** The memory of a queue, as other threads receive it. */
export interface WaitRecord {
  /** The queue's words, and its owner's. */
  memory: SharedArrayBuffer;
  /** Its waiters, and those of other queues. */
  nodes: SharedArrayBuffer;
}

/**
 * Makes the memory of queues and their owner. Its size is fixed: growable
 * memory costs two mappings and a megabyte of addresses.
 */
export function newWaitRecord(bytes: number): WaitRecord {
  own ??= new SharedArrayBuffer(4 * END);
  return { memory: new SharedArrayBuffer(bytes), nodes: own };
}

function nodesOver(memory: SharedArrayBuffer): Int32Array {
  let nodes = known.get(memory);
  if (nodes === undefined) known.set(memory, nodes = new Int32Array(memory));
  return nodes;
}

/** Takes a node that is unused. Call it under the mutex. */
export function addNode(nodes: Int32Array, ticket: number): number {
  let node = nodes[FREED]!;
  if (node !== 0) nodes[FREED] = nodes[node + AFTER]!;
  else {
    node = Math.max(nodes[HIGH_WATER]!, NODES);
    if (node === END) {
      throw new RangeError(
        `Cannot wait: ${MOST_NODES} others wait for what the same thread made`,
      );
    }
    nodes[HIGH_WATER] = node + NODE_WORDS;
  }
  Atomics.store(nodes, node + TICKET, ticket);
  return node;
}

/** Frees a node; returns how many sleepers it has woken. */
export function removeNode(nodes: Int32Array, node: number): number {
  Atomics.store(nodes, node + TICKET, 0);
  nodes[node + AFTER] = nodes[FREED]!;
  nodes[FREED] = node;
  return Atomics.notify(nodes, node + TICKET);
}

/**
 * Frees nodes of a list. Call it under the mutex.
 *
 * @param words Memory with the word of the list's first node.
 * @param first The word's index.
 * @param nodes The nodes.
 * @param stays Whether a node stays.
 * @returns The last one that stays, or 0.
 */
export function removeNodes(
  words: Int32Array,
  first: number,
  nodes: Int32Array,
  stays: (node: number) => boolean,
): number {
  let before = 0;
  for (let node = words[first]!; node !== 0;) {
    const after = nodes[node + AFTER]!;
    if (stays(node)) before = node;
    else {
      if (before === 0) words[first] = after;
      else nodes[before + AFTER] = after;
      removeNode(nodes, node);
    }
    node = after;
  }
  return before;
}

function isOlder(ticket: number, other: number): boolean {
  return (ticket - other | 0) < 0;
}

/** Waiters of any thread, oldest first. */
export class WaitQueue {
  /** The words of the queue and, from `OWN` on, of its owner. */
  readonly words: Int32Array;
  /** Whether one waiter's success is another's failure. */
  readonly fair: boolean;
  /** The nodes of this queue and others. */
  readonly nodes: Int32Array;

  /**
   * Makes a queue, or joins one.
   *
   * @param from The number of words for the owner, or the memory of a queue.
   * @param fair Whether one waiter's success is another's failure, so that
   * overtaking must be limited.
   * @param at Its offset in the memory in bytes.
   */
  constructor(from: number | WaitRecord, fair = true, at = 0) {
    const { memory, nodes } = typeof from === "number"
      ? newWaitRecord(QUEUE_BYTES + 4 * from)
      : from;
    this.words = new Int32Array(memory, at, memory.byteLength - at >> 2);
    this.fair = fair;
    this.nodes = nodesOver(nodes);
  }

  /** The queue's memory. */
  get record(): WaitRecord {
    return {
      memory: this.words.buffer as SharedArrayBuffer,
      nodes: this.nodes.buffer as SharedArrayBuffer,
    };
  }

  /** The number of waiters. */
  get size(): number {
    return Atomics.load(this.words, ENROLLED);
  }

  /** The ticket of the waiter whose turn is next, or `0`. */
  get reserved(): number {
    return Atomics.load(this.words, RESERVED);
  }

  /** How often the next waiter has reported that it is alive. */
  get beats(): number {
    return Atomics.load(this.words, BEATS);
  }

  /** Reports that the next waiter is alive. */
  beat(): void {
    Atomics.add(this.words, BEATS, 1);
  }

  /** Whether a newcomer may try. Uses up the permission. */
  mayOvertake(): boolean {
    return this.reserved === 0 ||
      Atomics.load(this.words, ALLOWANCE) > 0 &&
        Atomics.sub(this.words, ALLOWANCE, 1) > 0;
  }

  /** Takes a ticket for a waiter, which may block its thread. */
  takeTicket(sync: boolean): number {
    const ticket = Atomics.add(this.nodes, NEXT_TICKET, 2) + 2 | 0;
    if (ticket === 0) return this.takeTicket(sync);
    return sync ? ticket | SYNC : ticket;
  }

  /**
   * Puts a waiter into the queue, and returns where it sleeps.
   *
   * @throws {RangeError} If there are too many waiters.
   */
  enrol(ticket: number): WaitSlot {
    const [words, nodes] = [this.words, this.nodes];
    return this.alone(() => {
      const node = addNode(nodes, ticket);
      let before = words[LAST]!;
      while (before !== 0 && isOlder(ticket, nodes[before + TICKET]!)) {
        before = nodes[before + BEFORE]!;
      }
      const after = before === 0 ? words[FIRST]! : nodes[before + AFTER]!;
      this.#link(before, node);
      this.#link(node, after);
      Atomics.add(words, ENROLLED, 1);
      return { words: nodes, index: node + TICKET, ticket };
    });
  }

  /**
   * Takes a waiter out of the queue.
   *
   * @param slot Where it sleeps.
   * @returns Whether it was still in the queue; if not, it was woken.
   */
  cancel({ words, index, ticket }: WaitSlot): boolean {
    return this.alone(() => {
      if (words[index] !== ticket) return false;
      // Wakes the engine's own waiter, which would otherwise stay.
      this.#remove(index - TICKET);
      return true;
    });
  }

  /**
   * Wakes the oldest waiters. Waiters of ended threads don't count.
   *
   * @param count The number of waiters to wake.
   * @returns The number of woken waiters.
   */
  wake(count: number): number {
    let woken = 0;
    if (this.size === 0) return woken;
    this.alone(() => {
      while (woken < count && this.words[FIRST] !== 0) {
        if (this.#wakeFirst(count === 1)) woken++;
      }
    });
    return woken;
  }

  /** Makes later waiters and newcomers wait until this one has tried. */
  reserve(ticket: number): void {
    if (!this.fair) return;
    this.alone(() => {
      const { reserved } = this;
      if (reserved === 0 || !isOlder(reserved, ticket)) {
        this.#reserve(ticket, 0);
      }
    });
  }

  /**
   * Ends the turn of a waiter: those woken meanwhile are next, or newcomers.
   * Returns whether it was next.
   */
  unreserve(ticket: number): boolean {
    const isNext = this.reserved === ticket;
    if (!isNext && this.words[RESERVED_NEXT] !== ticket) return false;
    return this.alone(() => this.#unreserve(ticket));
  }

  #unreserve(ticket: number): boolean {
    const { words } = this;
    if (words[RESERVED_NEXT] === ticket) words[RESERVED_NEXT] = 0;
    if (this.reserved !== ticket) return false;
    this.#reserve(words[RESERVED_NEXT]!, MAY_OVERTAKE);
    words[RESERVED_NEXT] = 0;
    return true;
  }

  #reserve(ticket: number, allowance: number): void {
    Atomics.store(this.words, RESERVED, ticket);
    Atomics.store(this.words, ALLOWANCE, allowance);
  }

  #wakeFirst(alone: boolean): boolean {
    const node = this.words[FIRST]!;
    const ticket = this.nodes[node + TICKET]!;
    const { reserved } = this;
    // Before it is woken: after that it may already be done.
    if (this.fair && alone) {
      if (reserved === 0) this.#reserve(ticket, MAY_OVERTAKE);
      else if (isOlder(reserved, ticket)) this.words[RESERVED_NEXT] = ticket;
    }
    const woken = this.#remove(node) > 0 || (ticket & SYNC) !== 0;
    if (!woken) this.#unreserve(ticket);
    return woken;
  }

  /** Returns how many sleepers it has woken. */
  #remove(node: number): number {
    const nodes = this.nodes;
    this.#link(nodes[node + BEFORE]!, nodes[node + AFTER]!);
    Atomics.sub(this.words, ENROLLED, 1);
    return removeNode(nodes, node);
  }

  /** Puts two nodes, or an end of the queue and one, side by side. */
  #link(before: number, after: number): void {
    if (before === 0) this.words[FIRST] = after;
    else this.nodes[before + AFTER] = after;
    if (after === 0) this.words[LAST] = before;
    else this.nodes[after + BEFORE] = before;
  }

  /** Does something under the mutex of its nodes, which takes microseconds. */
  alone<T>(act: () => T): T {
    return alone(this.nodes, MUTEX, act);
  }
}
