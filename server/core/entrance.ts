/**
 * The steps before a request is verified: PROXY header, admission, TLS
 * handshake.
 *
 * @module
 */

import type { Admission } from "./admission.ts";
import type { AnyOptions } from "./check_options.ts";
import { EntranceError } from "./faults.ts";
import type { OpenRequest } from "./request.ts";

const DEFAULT_TIMEOUT_MS = 5_000;
/** How long a step may take after the server began to close. */
const DRAIN_TIMEOUT_MS = 500;

/** The steps that the server's options require. */
export class Entrance {
  admission: Admission | null = null;
  /** The number of requests that take the steps. */
  passing = 0;
  #proxyHeaders: Promise<Preamble> | null = null;
  #handshakes: Preamble | null = null;

  /** Makes the steps that stay the same. */
  setUp(options: AnyOptions): void {
    const { proxyProtocol, cert, handshakeTimeout } = options;
    if (proxyProtocol !== undefined) {
      // Few servers are behind a proxy
      this.#proxyHeaders = import("./proxied_connection.ts")
        .then(({ ProxyHeaders }) => new ProxyHeaders(options));
      this.#proxyHeaders.catch(() => {}); // the requests report it
    }
    if (cert !== undefined) this.#handshakes = new Handshakes(handshakeTimeout);
  }

  /** Whether there are no steps. */
  get isOpen(): boolean {
    return this.#proxyHeaders === null && this.admission === null &&
      this.#handshakes === null;
  }

  /** The server closes. */
  drain(): void {
    this.#proxyHeaders?.then((headers) => headers.drain(), () => {});
    this.#handshakes?.drain();
  }

  /** Takes a request through the steps; false if it is refused. */
  async pass(open: OpenRequest): Promise<boolean> {
    this.passing++;
    try {
      return await this.#pass(open);
    } finally {
      this.passing--;
    }
  }

  async #pass(open: OpenRequest): Promise<boolean> {
    const { request, clientAddress: peer } = open;
    if (this.#proxyHeaders !== null) {
      const headers = await this.#proxyHeaders;
      open.clientAddress = await headers.read(request, peer);
    }
    if (this.admission !== null && !await this.admission.admit(open)) {
      return false;
    }
    await this.#handshakes?.read(request, peer);
    return true;
  }
}

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

/** The error of a failed handshake. */
class HandshakeError extends EntranceError {
  override readonly count = "failedHandshakes";
  override readonly reason = "handshake";
}

/** Runs the handshakes of all connections concurrently. */
class Handshakes extends Preamble<Deno.TlsConn> {
  override async readFrom(
    conn: Deno.TlsConn,
    peer: Deno.Addr,
  ): Promise<Deno.Addr> {
    try {
      await conn.handshake();
      return peer;
    } catch (cause) {
      throw new HandshakeError("TLS handshake failed", { cause });
    }
  }
}
