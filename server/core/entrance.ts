/**
 * The steps before a request is verified: PROXY header, admission, TLS
 * handshake.
 *
 * @module
 */

import type { AnyOptions } from "../_internal.ts";
import { ipv6Groups } from "../addresses.ts";
import { beforehand, type Counts, EntranceError } from "./faults.ts";
import type { ProxyHeaders } from "./proxied_connection.ts";
import type { OpenRequest } from "./request.ts";
import { AddressList } from "./option_checks.ts";
import type { OverLimit, ServerLimits } from "../options.ts";

/** The steps that the server's options require. */
export class Entrance {
  admission: Admission | null = null;
  /** The number of requests that take the steps. */
  passing = 0;
  #proxyHeaders: Promise<ProxyHeaders> | null = null;
  #isTls = false;
  #timeout: number | undefined;

  /** Makes the steps that stay the same. */
  setUp(options: AnyOptions): void {
    const { proxyProtocol, cert, handshakeTimeout } = options;
    if (proxyProtocol !== undefined) {
      // Few servers are behind a proxy
      this.#proxyHeaders = import("./proxied_connection.ts")
        .then(({ ProxyHeaders }) => new ProxyHeaders(options));
      this.#proxyHeaders.catch(() => {}); // the requests report it
    }
    this.#isTls = cert !== undefined;
    this.#timeout = handshakeTimeout;
  }

  /** Whether there are no steps. */
  get isOpen(): boolean {
    return this.#proxyHeaders === null && this.admission === null &&
      !this.#isTls;
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
    if (refusal === null && this.#isTls) {
      await handshake(request as Deno.TlsConn, this.#timeout);
    }
    return refusal;
  }
}

/** The error of a failed handshake. */
class HandshakeError extends EntranceError {
  override readonly count = "failedHandshakes";
  override readonly reason = "handshake";
}

async function handshake(conn: Deno.TlsConn, timeout?: number): Promise<void> {
  const value = await beforehand(
    conn,
    () => conn.handshake(),
    (cause) => new HandshakeError("TLS handshake failed", { cause }),
    timeout,
  );
  // A relay passes it on to the replica
  Object.defineProperty(conn, "handshakeInfo", { value });
}

/** Most requests that wait here; more are refused. */
const MAX_HELD = 1_024;
const MAPPED_PREFIX = "::ffff:";
/** Below this many clients, none are forgotten. */
const MIN_CLIENTS = 1_024;

/** A client's record. */
interface Client {
  open: number;
  held: number;
  /** The requests that it could begin at once at the time `since`. */
  tokens: number;
  since: number;
}

/** The option that refuses a request; `null` if it may come in. */
export type Refusal = keyof ServerLimits | null;

interface Held {
  open: OpenRequest;
  client: Client;
  resolve: (refusal: Refusal) => void;
}

/** Admits requests within the limits of their clients. */
export class Admission {
  /** How to treat a request over a limit. */
  overLimit: OverLimit = "wait";
  #allow: AddressList | null = null;
  #deny: AddressList | null = null;
  #maxPerClient = Infinity;
  /** Requests per second. */
  #rate = Infinity;
  #counts: Counts;
  #room: () => number;
  #clients: Map<string, Client> = new Map();
  #admitted: WeakMap<OpenRequest, Client> = new WeakMap();
  #held: Held[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pruneAt = MIN_CLIENTS;

  /** `room` returns how many more requests fit into the server. */
  constructor(counts: Counts, room: () => number) {
    this.#counts = counts;
    this.#room = room;
  }

  /** The number of requests that wait for a limit of their client. */
  get held(): number {
    return this.#held.length;
  }

  /** Applies limits. */
  setLimits(limits: ServerLimits): void {
    const { allow, deny } = limits;
    this.overLimit = limits.overLimit ?? this.overLimit;
    this.#maxPerClient = limits.maxConnectionsPerClient ?? this.#maxPerClient;
    this.#setRate(limits.acceptRatePerClient ?? this.#rate);
    if (allow !== undefined) this.#allow = new AddressList("allow", allow);
    if (deny !== undefined) this.#deny = new AddressList("deny", deny);
    this.admitHeld();
  }

  /**
   * Whether a request may come in. Waits for room if `overLimit` is `"wait"`.
   */
  admit(open: OpenRequest): Refusal | Promise<Refusal> {
    const { clientAddress } = open;
    // It may have counted for its proxy, while its header was on its way
    this.#giveBack(open);
    if (this.#deny?.has(clientAddress)) return "deny";
    if (this.#allow !== null && !this.#allow.has(clientAddress)) return "allow";
    // The request itself is counted already
    if (this.overLimit === "refuse" && this.#room() < 0) {
      return "maxConnections";
    }
    const key = clientKey(clientAddress);
    if (key === null) return null;
    const client = this.#find(key);
    if (client.held === 0 && this.#fits(client)) {
      this.#take(open, client);
      return null;
    }
    const limit = client.open < this.#maxPerClient
      ? "acceptRatePerClient"
      : "maxConnectionsPerClient";
    if (this.overLimit === "refuse" || this.#held.length >= MAX_HELD) {
      return limit;
    }
    this.#counts.waited++;
    return new Promise((resolve) => {
      const held = { open, client, resolve };
      this.#held.push(held);
      client.held++;
      open.cancel = () => this.#release(held, null);
      this.#armTimer();
    });
  }

  /** Counts a request that came in before there was this admission. */
  add(open: OpenRequest): void {
    const key = clientKey(open.clientAddress);
    if (key !== null) this.#take(open, this.#find(key));
  }

  /** A request has ended. */
  left(open: OpenRequest): void {
    this.#giveBack(open);
    this.admitHeld();
  }

  /** The request no longer counts towards its client's limit. */
  #giveBack(open: OpenRequest): void {
    const client = this.#admitted.get(open);
    if (client === undefined) return;
    client.open--;
    this.#admitted.delete(open);
  }

  /**
   * Admits the requests that fit now: one has ended, or a limit has changed.
   */
  admitHeld(): void {
    if (this.#held.length === 0) return;
    for (const held of [...this.#held]) {
      if (this.#room() < 1) return;
      if (!this.#fits(held.client)) continue;
      this.#take(held.open, held.client);
      this.#release(held, null);
    }
    this.#armTimer();
  }

  /** Clients keep what they had left, and no more than they may have now. */
  #setRate(rate: number): void {
    for (const client of this.#clients.values()) {
      const left = this.#rate === Infinity ? rate : this.#refill(client);
      client.tokens = Math.min(left, rate);
      client.since = now();
    }
    this.#rate = rate;
  }

  #find(key: string): Client {
    let client = this.#clients.get(key);
    if (client === undefined) {
      if (this.#clients.size >= this.#pruneAt) this.#prune();
      client = { open: 0, held: 0, tokens: this.#rate, since: now() };
      this.#clients.set(key, client);
    }
    return client;
  }

  #fits(client: Client): boolean {
    return client.open < this.#maxPerClient &&
      (this.#rate === Infinity || this.#refill(client) >= 1);
  }

  #refill(client: Client): number {
    const time = now();
    const earned = (time - client.since) * this.#rate / 1_000;
    client.tokens = Math.min(this.#rate, client.tokens + earned);
    client.since = time;
    return client.tokens;
  }

  #take(open: OpenRequest, client: Client): void {
    client.open++;
    if (this.#rate !== Infinity) client.tokens--;
    this.#admitted.set(open, client);
  }

  #release(held: Held, refusal: Refusal): void {
    const at = this.#held.indexOf(held);
    if (at < 0) return;
    this.#held.splice(at, 1);
    held.client.held--;
    held.open.cancel = null;
    held.resolve(refusal);
    if (this.#held.length === 0) clearTimeout(this.#timer);
  }

  /** Sets a timer for the next client that waits only for its rate. */
  #armTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#rate === Infinity) return;
    const waits = this.#held.filter(({ client }) =>
      client.open < this.#maxPerClient
    ).map(({ client }) => (1 - this.#refill(client)) * 1_000 / this.#rate);
    if (waits.length === 0) return;
    const wait = Math.max(1, Math.ceil(Math.min(...waits)));
    this.#timer = setTimeout(() => this.admitHeld(), wait);
  }

  /** Forgets clients that have left and are below their rate. */
  #prune(): void {
    for (const [key, client] of this.#clients) {
      const idle = client.open === 0 && client.held === 0;
      if (idle && (this.#rate === Infinity || this.#isFull(client))) {
        this.#clients.delete(key);
      }
    }
    this.#pruneAt = Math.max(MIN_CLIENTS, this.#clients.size * 2);
  }

  #isFull(client: Client): boolean {
    return this.#refill(client) >= this.#rate;
  }
}

/**
 * The key of a client: an IPv4 address, or the first 64 bits of an IPv6
 * address, because a provider gives a customer all addresses below these.
 */
export function clientKey(address: Deno.Addr): string | null {
  if (!("hostname" in address)) return null;
  const { hostname } = address;
  if (!hostname.includes(":")) return hostname;
  if (hostname.startsWith(MAPPED_PREFIX) && hostname.includes(".")) {
    return hostname.slice(MAPPED_PREFIX.length);
  }
  return ipv6Groups(hostname).slice(0, 4).map((group) => group.toString(16))
    .join(":");
}

function now(): number {
  return performance.now();
}
