/**
 * TLS: the listener, and the handshakes.
 *
 * @module
 */

import type { Preamble } from "../core/preamble.ts";
import type { TcpServerOptions } from "../options.ts";

/** The options of TLS. */
export type TlsOptions = Pick<
  TcpServerOptions,
  "cert" | "key" | "alpnProtocols"
>;

/**
 * Deno's messages about an unusable certificate or key, and the option at
 * fault.
 */
const FAULTS: [RegExp, string][] = [
  [/No certificates found/, '"cert": it holds no certificate in PEM'],
  [/No keys found/, '"key": it holds no private key in PEM'],
  [/not be consistent|KeyMismatch/, '"key": it does not fit "cert"'],
  [/key/i, '"key": Deno cannot read it'],
  [/cert|BadDer|BadEncoding/i, '"cert": Deno cannot read it'],
];

/** The error of a failed handshake. */
export class HandshakeError extends Error {}

/**
 * Opens a listener for TLS.
 *
 * @throws {TypeError} If the certificate or the key can't be used.
 */
export function listenTls(
  options: Deno.ListenOptions & Deno.TcpListenOptions,
  { cert, key, alpnProtocols }: TlsOptions,
): Deno.TlsListener {
  try {
    return Deno.listenTls({
      ...options,
      cert: cert!,
      key: key!,
      ...(alpnProtocols !== undefined && { alpnProtocols }),
    });
  } catch (error) {
    const { name, message, code } = error as Error & { code?: string };
    // Errors of the socket have a code, errors of permissions a name
    const ofTls = code === undefined && /^(InvalidData|Error)$/.test(name);
    const fault = FAULTS.find(([regexp]) => regexp.test(message));
    if (!ofTls || fault === undefined) throw error;
    throw new TypeError(`Cannot use ${fault[1]}`, { cause: error });
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
