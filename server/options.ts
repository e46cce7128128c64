/**
 * The options of servers.
 *
 * @module
 */

/** What to do with a client over a limit. */
export type OverLimit = "wait" | "refuse";

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
   * How long `handleRequest()` waits for a request, in milliseconds; `null`
   * waits without limit. `serveForever()` takes no notice of it.
   *
   * @default {null}
   */
  timeout?: number | null;
  /**
   * Most requests open at once; 1 serves one after the other. `overLimit` says
   * what happens to the next.
   *
   * @default {Infinity}
   */
  maxConnections?: number;
  /**
   * What happens to a client over `maxConnections`, `maxConnectionsPerClient`
   * or `acceptRatePerClient`.
   *
   * - `"wait"`: it is not served until there is room. Over `maxConnections` it
   *   waits in the system's queue. Over a limit of its own it is held, so that
   *   other clients pass it; when 1,024 requests are held, the next is refused.
   * - `"refuse"`: its connection is closed at once, its packet dropped.
   *
   * `stats()` counts both.
   *
   * @default {"wait"}
   */
  overLimit?: OverLimit;
  /**
   * Longest time from the beginning of a request to its end, in milliseconds.
   * Then the handler's `signal` is aborted, the connection is closed, and
   * `handleError()` gets a `RequestTimeoutError`.
   *
   * @default {Infinity}
   */
  requestTimeout?: number;
  /**
   * How long `serverClose()` lets open requests finish, in milliseconds. Those
   * that remain are aborted.
   *
   * @default {10000}
   */
  shutdownTimeout?: number;
  /** Closes the server when it is aborted, as `serverClose()` does. */
  signal?: AbortSignal;
  /** A value for the handlers, theirs as `this.server.context`. */
  context?: C;
}

/**
 * Options of servers that accept connections.
 *
 * @typeParam C The type of `context`.
 */
export interface StreamServerOptions<C = unknown> extends ServerOptions<C> {
  /**
   * Longest time that a read or a write of a handler may wait for the client,
   * in milliseconds. Then the connection ends as with `requestTimeout`. It is
   * looked at eight times in this period, so that it costs nothing per read.
   *
   * @default {Infinity}
   */
  idleTimeout?: number;
  /**
   * Fewest bytes a second that a client sends and takes while a handler waits
   * for it, as an average over 5 seconds of waiting. Below it, the connection
   * ends as with `requestTimeout`.
   *
   * @default {0}
   */
  minRate?: number;
  /**
   * Whether connections begin with a header of the PROXY protocol, version 1 or
   * 2, which a load balancer puts there to tell the client's address. Handlers
   * and hooks then see that address in place of the balancer's. Not with TLS.
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
  trustedProxies?: readonly string[];
  /**
   * Longest time for a PROXY header or a TLS handshake, in milliseconds. Then
   * the connection is closed and counted. (Deno keeps the socket of a client
   * that never begins the handshake until the client leaves.)
   *
   * @default {5000}
   */
  handshakeTimeout?: number;
}

/** Limits for each client of a TCP or UDP server. */
export interface ClientLimits {
  /**
   * Most requests of one client open at once. A client is an IPv4 address or
   * the first 64 bits of an IPv6 address. `overLimit` says what happens to the
   * next.
   *
   * @default {Infinity}
   */
  maxConnectionsPerClient?: number;
  /**
   * Most requests that one client begins in a second; as many may come at
   * once. `overLimit` says what happens to the next.
   *
   * @default {Infinity}
   */
  acceptRatePerClient?: number;
  /**
   * The only clients that are served: addresses and subnets, such as
   * `["10.0.0.0/8", "::1"]`. Others are refused.
   *
   * @default {everybody}
   */
  allow?: readonly string[];
  /**
   * Clients that are refused, also where `allow` has them: addresses and
   * subnets.
   *
   * @default {nobody}
   */
  deny?: readonly string[];
}

/**
 * Options of TCP servers.
 *
 * @typeParam C The type of `context`.
 */
export interface TcpServerOptions<C = unknown>
  extends StreamServerOptions<C>, ClientLimits {
  /**
   * How many connections the system queues while they wait to be accepted. The
   * system refuses or ignores the next.
   *
   * @default {511}
   */
  requestQueueSize?: number;
  /**
   * Whether other processes may listen on the same port. Needs
   * `--unstable-net`.
   *
   * @default {false}
   */
  allowReusePort?: boolean;
  /**
   * Whether small writes are sent at once, and do not wait for the client to
   * confirm earlier ones. With TLS, Deno has no way to set it.
   *
   * @default {true}
   */
  noDelay?: boolean;
  /**
   * Whether the system probes idle connections, so that those whose client has
   * vanished end. Not with TLS.
   *
   * @default {false}
   */
  keepAlive?: boolean;
  /** The server's certificate chain, in PEM: serves TLS. Needs `key`. */
  cert?: string;
  /** The private key of `cert`, in PEM. */
  key?: string;
  /** Protocols that the server offers in TLS, the preferred first. */
  alpnProtocols?: string[];
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

/**
 * Options of UDP servers.
 *
 * @typeParam C The type of `context`.
 */
export interface UdpServerOptions<C = unknown>
  extends DatagramServerOptions<C>, ClientLimits {}

/** The limits that `setLimits()` changes on a running server. */
export interface ServerLimits extends
  Pick<
    TcpServerOptions,
    | "maxConnections"
    | "overLimit"
    | "maxConnectionsPerClient"
    | "acceptRatePerClient"
    | "allow"
    | "deny"
    | "idleTimeout"
    | "requestTimeout"
    | "minRate"
  > {}

/** Options of `serveForever()`. */
export interface ServeOptions {
  /** Ends the serving when it is aborted, as `shutdown()` does. */
  signal?: AbortSignal;
  /**
   * Signals of the operating system that end the serving, such as
   * `["SIGINT", "SIGTERM"]`. A second one within a tenth of a second counts as
   * the first: under `deno task` a Ctrl-C arrives twice, from the terminal and
   * from the task. `serveForever()` returns 100 ms after the first. A later
   * signal does what it did before: Ctrl-C ends the program.
   */
  signals?: Deno.Signal[];
}

/** How the replicas of a server get their requests. */
export type Dispatch = "auto" | "shard" | "relay" | "isolate";

/**
 * Options of servers that handle their requests in threads or processes,
 * besides those of the server that they extend.
 *
 * @typeParam C The type of `context`.
 */
export interface ReplicaOptions<C = unknown> extends ServerOptions<C> {
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
   * - `"auto"`: `"shard"` where it can be had, else `"relay"`;
   * - `"shard"`: each accepts on the same TCP port;
   * - `"relay"`: the server accepts, and carries the bytes to the replica with
   *   the fewest open requests and back;
   * - `"isolate"`: as `"relay"`, with a replica of its own for each request.
   *
   * `"shard"` is refused where the port can't be shared: for Unix sockets and
   * packets, for handlers with `permissions` of their own, with
   * `maxConnections`, and for processes without `--unstable-net`, off Linux, or
   * when `--allow-net` has a list.
   *
   * Processes that share a port have a queue each. When one is replaced under
   * load, or is caught in an endless loop until `stallTimeout` ends it, clients
   * in its queue are lost; `"relay"` loses none.
   *
   * @default {"auto"}
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

/**
 * The last argument of a server's constructor: the options, which can be left
 * out unless the handlers need a `context`.
 *
 * @typeParam C The type of `context`.
 * @typeParam O The type of the options.
 */
export type OptionsArgument<C, O> = undefined extends C ? [options?: O]
  : [options: O & { context: C }];
