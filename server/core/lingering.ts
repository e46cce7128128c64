/**
 * Connections whose requests have ended, and whose clients may still read the
 * answer.
 *
 * To close a connection with bytes that nobody read makes the system reset it
 * and drop what it has not sent yet. So the server ends its side only, and reads
 * and drops what comes until the client ends its own.
 *
 * @module
 */

import { closeAnyhow } from "./faults.ts";
import type { WatchedConn } from "./watched_conn.ts";

/** The limits of one connection. */
const MOST_MS = 2_000;
const MOST_MS_IN_CLOSE = 500;
/** More than the buffers of both sides hold: what a client sent before it saw the end. */
const MOST_BYTES = 16_777_216;
/** The limit of all; the oldest is closed first. */
const MOST_CONNECTIONS = 1_024;

/** All reads use it: what it holds is of no interest. */
let scratch: Uint8Array | undefined;

/** A connection that lingers. */
interface Entry {
  close: () => void;
  left: (() => void) | null;
  until: number;
}

/** The lingering connections of a server. */
export class Lingering {
  /** In the order of their limits. */
  #entries: Set<Entry> = new Set();
  #isClosing = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #emptied: (() => void) | null = null;

  /**
   * Keeps a connection for a while, then closes it. `left` is called at its end,
   * or when the server closes: others need not wait for it any more.
   */
  add(conn: Deno.Conn, watched: WatchedConn | null, left: () => void): void {
    const most = this.#isClosing ? MOST_MS_IN_CLOSE : MOST_MS;
    const entry: Entry = {
      until: performance.now() + most,
      left: this.#isClosing ? null : left,
      close: () => {
        if (!this.#entries.delete(entry)) return;
        closeAnyhow(conn);
        entry.left?.();
        if (this.#entries.size > 0) return;
        clearTimeout(this.#timer);
        this.#timer = undefined;
        this.#emptied?.();
      },
    };
    if (this.#isClosing) left();
    this.#entries.add(entry);
    this.#timer ??= setTimeout(this.#look, most);
    void skipRest(watched ?? conn).then(entry.close);
    if (this.#entries.size <= MOST_CONNECTIONS) return;
    for (const oldest of this.#entries) return oldest.close();
  }

  /** The server closes: each has less time from now on. */
  drain(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    const until = performance.now() + MOST_MS_IN_CLOSE;
    for (const entry of this.#entries) {
      entry.until = Math.min(entry.until, until);
      entry.left?.();
      entry.left = null;
    }
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#arm();
  }

  /** Settles when there are none. */
  ended(): Promise<void> {
    if (this.#entries.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#emptied = resolve);
  }

  /** Closes all: their descriptors are needed. */
  closeAll(): void {
    for (const entry of [...this.#entries]) entry.close();
  }

  #arm(): void {
    for (const { until } of this.#entries) {
      const left = Math.max(0, until - performance.now());
      this.#timer = setTimeout(this.#look, left);
      return;
    }
  }

  #look = (): void => {
    this.#timer = undefined;
    const now = performance.now();
    for (const entry of [...this.#entries]) {
      if (entry.until > now) break;
      entry.close();
    }
    this.#arm();
  };
}

/** A connection, as far as it lingers. */
type Skippable = WatchedConn | Deno.Conn;

/** Ends this side, and reads until the client's end or too many bytes. */
async function skipRest(conn: Skippable): Promise<void> {
  const into = scratch ??= new Uint8Array(16_384);
  const isWatched = "skip" in conn;
  try {
    // The handler may have ended it already
    await (isWatched ? conn.endWriting() : conn.closeWrite()).catch(ignore);
    for (let left = MOST_BYTES; left > 0;) {
      const count = await (isWatched ? conn.skip(into) : conn.read(into));
      if (count === null) return;
      left -= count;
    }
  } catch {
    // The client is gone, or the time was over
  }
}

function ignore(): void {}
