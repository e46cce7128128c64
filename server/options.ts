/**
 * The options of servers.
 *
 * @module
 */

import {
  assertInteger,
  assertPositiveInteger,
  quote,
} from "../workers/_validate.ts";

/** A timer of more would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Options of every server.
 *
 * @typeParam C The type of `context`.
 */
export interface ServerOptions<C = unknown> {
  /**
   * Whether the constructor binds the address. If not, call `serverBind()` and
   * `serverActivate()` before serving.
   *
   * @default {true}
   */
  bindAndActivate?: boolean;
  /**
   * How many connections the system queues while they wait to be accepted. Unix
   * sockets have the system's own number.
   *
   * @default {511}
   */
  requestQueueSize?: number;
  /**
   * Whether other processes may listen on the same TCP port. Needs
   * `--unstable-net`.
   *
   * @default {false}
   */
  allowReusePort?: boolean;
  /**
   * How long `handleRequest()` waits for a request, in milliseconds; `null`
   * waits without limit. `serveForever()` takes no notice of it.
   *
   * @default {null}
   */
  timeout?: number | null;
  /**
   * Most requests open at once. The others wait in the system's queue until
   * one ends; 1 gives one after the other.
   *
   * @default {Infinity}
   */
  maxConnections?: number;
  /**
   * How long `serverClose()` lets open requests finish, in milliseconds. Those
   * that remain are aborted.
   *
   * @default {10000}
   */
  shutdownTimeout?: number;
  /**
   * Whether connections begin with a header of the PROXY protocol, version 1 or
   * 2, which a load balancer puts there to tell the client's address. Handlers
   * and hooks then see that address in place of the balancer's. Not for packets.
   *
   * - `"require"`: each does; one without a valid header is closed;
   * - `"accept"`: some do. The client has to speak first.
   *
   * @default {undefined} no header is expected
   */
  proxyProtocol?: "require" | "accept";
  /**
   * Addresses and subnets of the load balancers whose PROXY headers are
   * believed, such as `["10.0.0.5", "fd00::/8"]`. A header from elsewhere
   * closes its connection. If not given, every client's header is believed.
   * Clients on Unix sockets are always trusted.
   */
  trustedProxies?: string[];
  /**
   * Longest time for a client to send its PROXY header, in milliseconds.
   *
   * @default {5000}
   */
  handshakeTimeout?: number;
  /** Closes the server when it is aborted, as `serverClose()` does. */
  signal?: AbortSignal;
  /** A value for the handlers, theirs as `this.server.context`. */
  context?: C;
}

/**
 * Options of servers that receive packets.
 *
 * @typeParam C The type of `context`.
 */
export interface DatagramServerOptions<C = unknown> extends ServerOptions<C> {
  /**
   * Longest packet in bytes; of a longer one the rest is lost and the handler
   * finds `truncated` set. By default nothing that the system delivers is
   * longer.
   *
   * @default {65507} UDP; 212960 for Unix sockets
   */
  maxPacketSize?: number;
}

/** Options of `serveForever()`. */
export interface ServeOptions {
  /** Ends the serving when it is aborted, as `shutdown()` does. */
  signal?: AbortSignal;
  /**
   * Signals of the operating system that end the serving, such as
   * `["SIGINT", "SIGTERM"]`. A second one within a tenth of a second counts as
   * the first: under `deno task` a Ctrl-C arrives twice, from the terminal and
   * from the task. So long `serveForever()` waits before it returns; then they
   * do again what they did before, so that a second one ends the program.
   */
  signals?: Deno.Signal[];
}

/** How the replicas of a server get their requests. */
export type Dispatch = "shard" | "relay" | "isolate";

/**
 * Options of servers that handle their requests in threads or processes.
 *
 * @typeParam C The type of `context`.
 */
export interface ReplicaOptions<C = unknown> extends DatagramServerOptions<C> {
  /**
   * The module that exports the handler's class, and the server's where that
   * is a class of yours: nearly always `import.meta.url`. A class may carry it
   * instead: `static readonly module = import.meta.url`.
   */
  module?: string | URL;
  /**
   * How many threads or processes; with `"isolate"` the most at once.
   *
   * @default {navigator.hardwareConcurrency} 40 for `"isolate"`
   */
  workers?: number;
  /**
   * How the replicas get their requests.
   *
   * - `"shard"`: each accepts on the same TCP port;
   * - `"relay"`: the server accepts, and carries the bytes to the replica with
   *   the fewest open requests and back;
   * - `"isolate"`: as `"relay"`, with a replica of its own for each request.
   *
   * `"shard"` falls back to `"relay"` where the port can't be shared: for Unix
   * sockets and packets, for handlers with `permissions` of their own, and for
   * processes without `--unstable-net`, off Linux, or with `maxConnections`.
   *
   * @default {"shard"}
   */
  dispatch?: Dispatch;
  /**
   * What the handlers may do. For threads, anything but `"inherit"` needs
   * `--unstable-worker-options`.
   *
   * @default {"inherit"}
   */
  permissions?: Deno.PermissionOptions;
  /**
   * How long a replica may not answer, in milliseconds, before it counts as
   * caught in an endless loop and is replaced: a process is killed, a thread,
   * which nothing can stop, is set aside. The requests in it are lost.
   * `Infinity` waits for ever.
   *
   * @default {5000}
   */
  stallTimeout?: number;
}

const DISPATCHES: Dispatch[] = ["shard", "relay", "isolate"];

/** Throws for an option that can't work. */
export function checkOptions(options: ReplicaOptions): void {
  const { signal } = options;
  if (options.requestQueueSize !== undefined) {
    assertPositiveInteger("requestQueueSize", options.requestQueueSize);
  }
  if (options.timeout !== undefined && options.timeout !== null) {
    assertInteger("timeout", options.timeout, 0, MAX_TIMER_MS);
  }
  if (
    options.maxConnections !== undefined && options.maxConnections !== Infinity
  ) {
    assertPositiveInteger("maxConnections", options.maxConnections);
  }
  if (
    options.shutdownTimeout !== undefined &&
    options.shutdownTimeout !== Infinity
  ) {
    assertInteger("shutdownTimeout", options.shutdownTimeout, 0, MAX_TIMER_MS);
  }
  if (options.handshakeTimeout !== undefined) {
    assertInteger(
      "handshakeTimeout",
      options.handshakeTimeout,
      1,
      MAX_TIMER_MS,
    );
  }
  if (options.maxPacketSize !== undefined) {
    assertPositiveInteger("maxPacketSize", options.maxPacketSize);
  }
  if (options.workers !== undefined) {
    assertPositiveInteger("workers", options.workers);
  }
  if (options.stallTimeout !== undefined && options.stallTimeout !== Infinity) {
    assertInteger("stallTimeout", options.stallTimeout, 1, MAX_TIMER_MS);
  }
  if (
    options.dispatch !== undefined && !DISPATCHES.includes(options.dispatch)
  ) {
    throw new TypeError(
      `Cannot use ${quote(options.dispatch)} as "dispatch": expected ${
        DISPATCHES.map(quote).join(", ")
      }`,
    );
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(
      `Cannot use ${quote(signal)} as "signal": expected an AbortSignal`,
    );
  }
  signal?.throwIfAborted();
}
