/**
 * The table of options: the servers that have them, their checks, and the
 * replicas that get them.
 *
 * @module
 */

import { assertOptions, quote } from "../../workers/base/check.ts";
import {
  abortSignal,
  addresses,
  boolean,
  type Check,
  checkCertificate,
  integer,
  milliseconds,
  moduleUrl,
  oneOf,
  or,
  orInfinity,
  protocols,
  signalNames,
  text,
} from "./option_checks.ts";
import type { ServeOptions, ServerLimits } from "../options.ts";
import type { AnyOptions } from "../_internal.ts";

type Transport = Deno.Addr["transport"];

interface Rule {
  /** The servers that have it; all if absent. */
  for?: Transport[] | "replicas";
  check: Check;
  /** Whether `setLimits()` can change it. */
  live?: true;
  /**
   * Whether one place must count it: then the parent accepts. `setLimits()` can
   * change it.
   */
  exact?: true;
  /** The replicas that get it: all, or those that accept. */
  to?: "all" | "accepting";
}

const STREAMS: Transport[] = ["tcp", "unix"];
const INTERNET: Transport[] = ["tcp", "udp"];
const TCP: Transport[] = ["tcp"];

/** The system keeps it as an `int`; 2 ** 32 was none at all. */
const MAX_BACKLOG = 2 ** 31 - 1;
/** More than any system delivers, and a buffer of this size is allocated. */
const MAX_PACKET_BYTES = 2 ** 20;

const time = orInfinity(milliseconds(1));
const limit = orInfinity(integer(1));

const RULES: Record<keyof AnyOptions, Rule> = {
  bindAndActivate: { check: boolean },
  timeout: { check: or(null, milliseconds(0)) },
  maxConnections: { check: limit, exact: true },
  overLimit: { check: oneOf("wait", "refuse"), to: "accepting", live: true },
  requestTimeout: { check: time, to: "all", live: true },
  shutdownTimeout: { check: orInfinity(milliseconds(0)), to: "all" },
  signal: { check: abortSignal },
  context: { check: () => {} },
  idleTimeout: { for: STREAMS, check: time, to: "all", live: true },
  minRate: { for: STREAMS, check: integer(0), to: "all", live: true },
  maxConnectionsPerClient: { for: INTERNET, check: limit, exact: true },
  acceptRatePerClient: { for: INTERNET, check: limit, exact: true },
  allow: { for: INTERNET, check: addresses, to: "accepting", live: true },
  deny: { for: INTERNET, check: addresses, to: "accepting", live: true },
  requestQueueSize: {
    for: TCP,
    check: integer(1, MAX_BACKLOG),
    to: "accepting",
  },
  allowReusePort: { for: TCP, check: boolean },
  noDelay: { for: TCP, check: boolean, to: "accepting" },
  keepAlive: { for: TCP, check: boolean, to: "accepting" },
  cert: { for: TCP, check: text, to: "accepting" },
  key: { for: TCP, check: text, to: "accepting" },
  alpnProtocols: { for: TCP, check: protocols, to: "accepting" },
  handshakeTimeout: { for: STREAMS, check: milliseconds(1), to: "accepting" },
  proxyProtocol: {
    for: STREAMS,
    check: oneOf("require", "accept"),
    to: "accepting",
  },
  trustedProxies: { for: STREAMS, check: addresses, to: "accepting" },
  maxPacketSize: {
    for: ["udp", "unixpacket"],
    check: integer(1, MAX_PACKET_BYTES),
    to: "all",
  },
  mode: { for: ["unix", "unixpacket"], check: integer(0, 0o777) },
  module: { check: moduleUrl },
  workers: { for: "replicas", check: integer(1) },
  dispatch: {
    for: "replicas",
    check: oneOf("auto", "shard", "relay", "isolate"),
  },
  permissions: { for: "replicas", check: () => {} },
  maxRequests: { for: "replicas", check: limit },
  maxRequestsJitter: { for: "replicas", check: integer(0) },
  maxMemory: { for: "replicas", check: limit },
  stallTimeout: { for: "replicas", check: time },
};

/** The options that may change at any time, as properties of the server. */
export const CHANGEABLE: ReadonlySet<string> = new Set([
  "timeout",
  "maxConnections",
  "shutdownTimeout",
]);

/**
 * Checks the options of a server.
 *
 * @throws {TypeError} If one is unknown, does not apply to this server, has the
 * wrong shape, or contradicts another.
 * @throws {RangeError} If a number is out of range.
 */
export function checkOptions(
  server: string,
  transport: Transport,
  hasReplicas: boolean,
  options: AnyOptions,
): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `Cannot use ${
        quote(options)
      } as the options of "${server}": expected an object`,
    );
  }
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(RULES, name)) {
      throw new TypeError(
        `Cannot use the option "${name}": "${server}" has no such option; look for a misspelling, and keep a subclass's own options out of super()`,
      );
    }
    if (value === undefined) continue;
    const rule = RULES[name as keyof AnyOptions];
    const fits = rule.for === undefined ||
      (rule.for === "replicas" ? hasReplicas : rule.for.includes(transport));
    if (!fits) {
      const others = rule.for === "replicas"
        ? "servers with threads or processes"
        : (rule.for as Transport[]).join(" and ");
      throw new TypeError(
        `Cannot use the option "${name}" with "${server}": it is for ${others} only`,
      );
    }
    rule.check(name, value);
  }
  checkTogether(options);
  options.signal?.throwIfAborted();
}

/** Checks the options of `serveForever()`. */
export function checkServeOptions(options: ServeOptions): void {
  assertOptions(options, "serveForever()", ["signal", "signals", "drainDelay"]);
  const { signal, signals, drainDelay } = options;
  if (signal !== undefined) abortSignal("signal", signal);
  if (signals !== undefined) signalNames("signals", signals);
  if (drainDelay !== undefined) milliseconds(0)("drainDelay", drainDelay);
}

/**
 * The options that a class has as static fields, as Python's classes have them.
 * Only a class's own `module` counts: each class may come from another one.
 */
export function staticOptions(Server: object): Partial<AnyOptions> {
  return Object.fromEntries(
    Object.keys(RULES)
      .filter((name) => name !== "module" && name in Server)
      .map((name) => [name, (Server as Record<string, unknown>)[name]]),
  );
}

/** Throws if a field has an option's name: it was set after the constructor. */
export function assertNoFields(server: object): void {
  for (const name of Object.keys(server)) {
    if (!Object.hasOwn(RULES, name) || name === "context") continue;
    throw new TypeError(
      `Cannot serve with the field "${name}": fields are set when the constructor has already used the option; write "static ${name} = …" in the class, or give the option to the constructor`,
    );
  }
}

/**
 * Checks a certificate and its key.
 *
 * @throws {TypeError} If they can't be used.
 */
export function checkTls(certificate: { cert: string; key: string }): void {
  if (typeof certificate !== "object" || certificate === null) {
    // Never quoted: it may be a private key
    throw new TypeError(
      'Cannot replace the certificate: expected an object with the texts "cert" and "key"',
    );
  }
  const { cert, key } = certificate;
  text("cert", cert);
  text("key", key);
  checkCertificate(cert, key);
}

/**
 * Checks limits for a running server.
 *
 * @throws {TypeError} If one is no limit, or does not apply to this server.
 * @throws {RangeError} If a number is out of range.
 */
export function checkLimits(
  server: string,
  transport: Transport,
  limits: ServerLimits,
): void {
  checkOptions(server, transport, false, limits);
  for (const name of Object.keys(limits) as (keyof ServerLimits)[]) {
    const { live, exact } = RULES[name];
    if (!live && !exact) {
      throw new TypeError(
        `Cannot change "${name}" of a server that runs: it is no limit; give it to the constructor`,
      );
    }
  }
}

/**
 * The options that a server gives to its replicas.
 *
 * @param options The server's.
 * @param accepting Whether the replicas accept connections themselves. Only
 * then are they given the private key.
 */
export function optionsForReplicas(
  options: AnyOptions,
  accepting: boolean,
): Partial<AnyOptions> {
  return Object.fromEntries(
    Object.entries(options).filter(([name, value]) => {
      const { to } = RULES[name as keyof AnyOptions];
      return value !== undefined &&
        (to === "all" || accepting && to === "accepting");
    }),
  );
}

/** Whether a server has an option of this name. */
export function isOption(name: string): boolean {
  return Object.hasOwn(RULES, name);
}

/** The name of a set option that only works if one place accepts. */
export function exactLimit(options: AnyOptions): string | null {
  for (const [name, value] of Object.entries(options)) {
    const { exact } = RULES[name as keyof AnyOptions];
    if (exact && (value ?? Infinity) !== Infinity) return name;
  }
  return null;
}

type Name = keyof AnyOptions;

const IN_TLS = "Deno has no way to set it on a TLS connection";
/** Options that exclude each other, and why. */
const EXCLUDING: [Name, Name, why: string][] = [
  ["noDelay", "cert", IN_TLS],
  ["keepAlive", "cert", IN_TLS],
  [
    "proxyProtocol",
    "cert",
    "the header comes before TLS, where Deno does not read it; let the proxy end TLS",
  ],
];
/** Options that need one of others. */
const NEEDING: [Name, others: Name[], why?: string][] = [
  ["key", ["cert"], ": TLS needs both"],
  ["cert", ["key"], ": TLS needs both"],
  ["alpnProtocols", ["cert"]],
  ["handshakeTimeout", ["cert", "proxyProtocol"]],
  ["trustedProxies", ["proxyProtocol"]],
  ["maxRequestsJitter", ["maxRequests"]],
];

function checkTogether(options: AnyOptions): void {
  const has = (name: Name) => options[name] !== undefined;
  for (const [name, other, why] of EXCLUDING) {
    if (!has(name) || !has(other)) continue;
    throw new TypeError(
      `Cannot use the options "${name}" and "${other}" together: ${why}`,
    );
  }
  for (const [name, others, why = ""] of NEEDING) {
    if (!has(name) || others.some(has)) continue;
    const needed = others.map(quote).join(" or ");
    throw new TypeError(
      `Cannot use the option "${name}" without ${needed}${why}`,
    );
  }
  for (const name of ["maxRequests", "maxMemory"] as const) {
    if (options.dispatch !== "isolate" || !has(name)) continue;
    throw new TypeError(
      `Cannot use the option "${name}" with "isolate" as "dispatch": a replica serves only one request`,
    );
  }
  const { cert, key } = options;
  if (cert !== undefined) checkCertificate(cert, key!);
}
