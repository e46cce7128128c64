/**
 * The steps before a request is verified: PROXY header, admission, TLS
 * handshake.
 *
 * @module
 */

import { Handshakes } from "../sockets/tls.ts";
import type { Preamble } from "./preamble.ts";
import type { AnyOptions } from "./check_options.ts";
import { ProxyHeaders } from "./proxied_connection.ts";
import type { Admission } from "./admission.ts";
import type { OpenRequest } from "./open_requests.ts";

/** The steps that the server's options require. */
export class Entrance {
  proxyHeaders: Preamble | null = null;
  admission: Admission | null = null;
  handshakes: Preamble | null = null;
  /** The number of requests that take the steps. */
  passing = 0;

  /** Makes the steps that stay the same. */
  setUp(options: AnyOptions): void {
    const { proxyProtocol, cert, handshakeTimeout } = options;
    if (proxyProtocol !== undefined) {
      this.proxyHeaders = new ProxyHeaders(options);
    }
    if (cert !== undefined) {
      this.handshakes = new Handshakes(handshakeTimeout);
    }
  }

  /** Whether there are no steps. */
  get isOpen(): boolean {
    return this.proxyHeaders === null && this.admission === null &&
      this.handshakes === null;
  }

  /** The server closes. */
  drain(): void {
    this.proxyHeaders?.drain?.();
    this.handshakes?.drain?.();
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
    if (this.proxyHeaders !== null) {
      open.clientAddress = await this.proxyHeaders.read(request, peer);
    }
    if (this.admission !== null && !await this.admission.admit(open)) {
      return false;
    }
    if (this.handshakes !== null) await this.handshakes.read(request, peer);
    return true;
  }
}
