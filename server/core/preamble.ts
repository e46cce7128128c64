/**
 * What comes before a client's own bytes: a PROXY header or a TLS handshake.
 *
 * @module
 */

const DEFAULT_TIMEOUT_MS = 5_000;

/** What precedes a client's own bytes; each connection has a time limit. */
export abstract class Preamble<T extends Deno.Conn = Deno.Conn> {
  /** The limit in milliseconds. */
  readonly timeout: number;
  /** The connections that are not through, and their deadlines. */
  #timers: Map<T, ReturnType<typeof setTimeout>> = new Map();

  constructor(timeout = DEFAULT_TIMEOUT_MS) {
    this.timeout = timeout;
  }

  /** Takes a connection through it; returns its client's address. */
  async read(request: unknown, peer: Deno.Addr): Promise<Deno.Addr> {
    const conn = request as T;
    const end = () => {
      this.#timers.delete(conn);
      conn[Symbol.dispose]();
    };
    this.#timers.set(conn, setTimeout(end, this.timeout));
    try {
      return await this.readFrom(conn, peer);
    } finally {
      clearTimeout(this.#timers.get(conn));
      this.#timers.delete(conn);
    }
  }

  /** Whether a connection was closed because it took too long. */
  isLate(conn: T): boolean {
    return !this.#timers.has(conn);
  }

  /** What `read()` limits. */
  abstract readFrom(conn: T, peer: Deno.Addr): Promise<Deno.Addr>;
}
