/**
 * Connections that come through a proxy.
 *
 * @module
 */

import { formatAddress } from "../addresses.ts";
import { AddressList } from "./option_checks.ts";
import { beforehand } from "./faults.ts";
import type { StreamServerOptions } from "../options.ts";
import {
  beginsHeader,
  hasSignature,
  MAX_HEADER_BYTES,
  parseProxyHeader,
  type ProxyHeader,
  ProxyHeaderError,
} from "./proxy_protocol.ts";
import { watchConn } from "./watched_conn.ts";

/** Holds any header without extra values. */
const USUAL_HEADER_BYTES = 536;

/** The options about headers. */
type Options = Pick<
  StreamServerOptions,
  "proxyProtocol" | "trustedProxies" | "handshakeTimeout"
>;

/** Reads the headers of a server's connections. */
export class ProxyHeaders {
  #timeout: number | undefined;
  #required: boolean;
  #trusted: AddressList | null;

  constructor(options: Options) {
    const { proxyProtocol, trustedProxies, handshakeTimeout } = options;
    this.#timeout = handshakeTimeout;
    this.#required = proxyProtocol === "require";
    this.#trusted = trustedProxies === undefined
      ? null
      : new AddressList("trustedProxies", trustedProxies);
  }

  /**
   * Reads the header of a connection. After that the connection has the
   * client's addresses and bytes.
   *
   * @returns The client's address.
   * @throws {ProxyHeaderError} If the header is missing, late, malformed, or not
   * from a trusted proxy. If it is late, the connection is closed.
   */
  async read(request: unknown, peer: Deno.Addr): Promise<Deno.Addr> {
    const conn = request as Deno.Conn;
    const trusts = this.#trusted === null || !("hostname" in peer) ||
      this.#trusted.has(peer);
    if (!trusts && this.#required) throw untrusted(peer);
    const [bytes, header] = await beforehand(
      conn,
      () => this.#receive(conn),
      (error, exceeded) => exceeded === null ? error : tooSlow(exceeded),
      this.#timeout,
    );
    if (header !== null && !trusts) throw untrusted(peer);
    if (header?.ends) setEnds(conn, header);
    const rest = bytes.subarray(header?.length ?? 0);
    if (rest.length > 0) watchConn(conn)?.unread(rest);
    return header?.ends?.source ?? peer;
  }

  /** Reads until the header is complete or invalid. */
  async #receive(
    conn: Deno.Conn,
  ): Promise<[bytes: Uint8Array, header: ProxyHeader | null]> {
    let buffer = new Uint8Array(USUAL_HEADER_BYTES);
    for (let filled = 0;;) {
      const count = await conn.read(buffer.subarray(filled));
      filled += count ?? 0;
      const bytes = buffer.subarray(0, filled);
      const isOver = count === null && !hasSignature(bytes);
      const without = filled === 0 || isOver || !beginsHeader(bytes);
      if (without && !this.#required) return [bytes, null];
      if (count === null) throw ended(filled);
      const header = parseProxyHeader(bytes);
      if (header !== null) return [bytes, header];
      if (filled < buffer.length) continue;
      buffer = new Uint8Array(MAX_HEADER_BYTES);
      buffer.set(bytes);
    }
  }
}

/** Sets the addresses and values of a header on its connection. */
function setEnds(conn: Deno.Conn, { ends, info }: ProxyHeader): void {
  const { source, destination } = ends!;
  Object.defineProperties(conn, {
    remoteAddr: { value: source },
    localAddr: { value: destination },
    proxyInfo: { value: info },
  });
}

function untrusted(address: Deno.Addr): ProxyHeaderError {
  return new ProxyHeaderError(
    `Cannot believe a PROXY header: "${
      formatAddress(address)
    }" is none of "trustedProxies"`,
  );
}

function ended(filled: number): Error {
  // A balancer's health check does this
  if (filled === 0) {
    return new Deno.errors.ConnectionAborted("The client sent nothing");
  }
  return new ProxyHeaderError(
    "Cannot read a PROXY header: the connection ended within it",
  );
}

function tooSlow(timeout: number): ProxyHeaderError {
  return new ProxyHeaderError(
    `Cannot read a PROXY header: it did not arrive within ${timeout} ms`,
  );
}
