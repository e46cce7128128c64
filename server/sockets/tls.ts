/**
 * TLS: the listener, and the handshakes.
 *
 * @module
 */

import type { Preamble } from "../core/preamble.ts";

const OTHER_FORMAT = "give the text of a PEM file";
/** Deno's messages about an unusable pair, and what they mean. */
const FAULTS: [message: RegExp, meaning: string][] = [
  [
    /No certificates found/,
    `"cert": it holds no certificate in PEM; ${OTHER_FORMAT}`,
  ],
  [/No keys found/, `"key": it holds no private key in PEM; ${OTHER_FORMAT}`],
  [
    /not be consistent|KeyMismatch/,
    '"key": it does not fit "cert"; give the key that the certificate was made for',
  ],
  [/key/i, `"key": Deno cannot read it; ${OTHER_FORMAT}`],
  [/./, `"cert": Deno cannot read it; ${OTHER_FORMAT}`],
];

/** The error of a failed handshake. */
export class HandshakeError extends Error {}

/**
 * Checks a certificate and its key.
 *
 * @throws {TypeError} If they can't be used.
 */
export function checkCertificate(cert: string, key: string): void {
  try {
    // Unlike a listener, this takes neither a port nor a permission
    Deno.createHttpClient({ cert, key }).close();
  } catch (cause) {
    const { message } = cause as Error;
    const [, meaning] = FAULTS.find(([regexp]) => regexp.test(message))!;
    throw new TypeError(`Cannot use ${meaning}`, { cause });
  }
}

const DEFAULT_TIMEOUT_MS = 5_000;
/** How long a handshake may take after the server began to close. */
const DRAIN_TIMEOUT_MS = 500;

/** Runs the handshakes of all connections concurrently. */
export class Handshakes implements Preamble {
  #timeout: number;
  #timers: Map<Deno.TlsConn, ReturnType<typeof setTimeout>> = new Map();

  /** `timeout` is the longest time of one handshake in milliseconds. */
  constructor(timeout = DEFAULT_TIMEOUT_MS) {
    this.#timeout = timeout;
  }

  /** @throws {HandshakeError} If it fails; the connection may be closed. */
  async read(request: unknown, peer: Deno.Addr): Promise<Deno.Addr> {
    const conn = request as Deno.TlsConn;
    this.#arm(conn);
    try {
      await conn.handshake();
      return peer;
    } catch (cause) {
      throw new HandshakeError("TLS handshake failed", { cause });
    } finally {
      clearTimeout(this.#timers.get(conn));
      this.#timers.delete(conn);
    }
  }

  drain(): void {
    this.#timeout = Math.min(this.#timeout, DRAIN_TIMEOUT_MS);
    for (const [conn, timer] of this.#timers) {
      clearTimeout(timer);
      this.#arm(conn);
    }
  }

  #arm(conn: Deno.TlsConn): void {
    const end = () => conn[Symbol.dispose]();
    this.#timers.set(conn, setTimeout(end, this.#timeout));
  }
}
