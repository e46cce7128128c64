/**
 * The steps before a request is verified: PROXY header, admission, TLS
 * handshake.
 *
 * @module
 */

import type { Admission, Refusal } from "./admission.ts";
import type { AnyOptions } from "./check_options.ts";
import { EntranceError } from "./faults.ts";
import { Preamble } from "./preamble.ts";
import type { OpenRequest } from "./request.ts";

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

  /** Takes a request through the steps; returns the limit that refuses it. */
  async pass(open: OpenRequest): Promise<Refusal> {
    this.passing++;
    try {
      return await this.#pass(open);
    } finally {
      this.passing--;
    }
  }

  async #pass(open: OpenRequest): Promise<Refusal> {
    const { request, clientAddress: peer } = open;
    if (this.#proxyHeaders !== null) {
      const headers = await this.#proxyHeaders;
      open.clientAddress = await headers.read(request, peer);
    }
    const refusal = await this.admission?.admit(open) ?? null;
    if (refusal === null) await this.#handshakes?.read(request, peer);
    return refusal;
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
      const value = await conn.handshake();
      // A relay passes it on to the replica
      Object.defineProperty(conn, "handshakeInfo", { value });
      return peer;
    } catch (cause) {
      throw new HandshakeError("TLS handshake failed", { cause });
    }
  }
}
