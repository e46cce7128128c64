/**
 * What comes before a client's own bytes: a PROXY header or a TLS handshake.
 *
 * @module
 */

const DEFAULT_TIMEOUT_MS = 5_000;
/** How long a step may take after the server began to close. */
const DRAIN_TIMEOUT_MS = 500;

/** What precedes a client's own bytes; each connection has a time limit. */
export abstract class Preamble<T extends Deno.Conn = Deno.Conn> {
  #timeout: number;
  /** The connections that are not through, and their deadlines. */
  #timers: Map<T, ReturnType<typeof setTimeout>> = new Map();

  constructor(timeout = DEFAULT_TIMEOUT_MS) {
    this.#timeout = timeout;
  }

  /** The limit in milliseconds. */
  get timeout(): number {
    return this.#timeout;
  }

  /** Takes a connection through it; returns its client's address. */
  async read(request: unknown, peer: Deno.Addr): Promise<Deno.Addr> {
    const conn = request as T;
    this.#arm(conn);
    try {
      return await this.readFrom(conn, peer);
    } finally {
      clearTimeout(this.#timers.get(conn));
      this.#timers.delete(conn);
    }
  }

  /** The server closes: what has not begun to arrive ends soon. */
  drain(): void {
    this.#timeout = Math.min(this.#timeout, DRAIN_TIMEOUT_MS);
    for (const [conn, timer] of this.#timers) {
      clearTimeout(timer);
      this.#arm(conn);
    }
  }

  /** Whether a connection was closed because it took too long. */
  isLate(conn: T): boolean {
    return !this.#timers.has(conn);
  }

  /** What `read()` limits. */
  abstract readFrom(conn: T, peer: Deno.Addr): Promise<Deno.Addr>;

  #arm(conn: T): void {
    const end = () => {
      this.#timers.delete(conn);
      conn[Symbol.dispose]();
    };
    this.#timers.set(conn, setTimeout(end, this.#timeout));
  }
}
