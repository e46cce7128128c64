/**
 * The options of servers.
 *
 * @module
 */

/** How to treat a client over a limit. */
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
   * Longest wait of `handleRequest()` for a request in milliseconds. `null`
   * waits without limit. `serveForever()` ignores it.
   *
   * @default {null}
   */
  timeout?: number | null;
  /**
   * Most requests open at once; 1 serves one after the other. `overLimit`
   * applies to the next.
   *
   * @default {Infinity}
   */
  maxConnections?: number;
  /**
   * How to treat a client over `maxConnections`, `maxConnectionsPerClient` or
   * `acceptRatePerClient`.
   *
   * - `"wait"`: it waits until there is room. Over `maxConnections` it waits in
   *   the system's queue. Over a limit per client it waits in the server, and
   *   other clients pass it; when 1,024 requests wait there, the next is
   *   refused.
   * - `"refuse"`: its connection is closed at once, or its packet is dropped.
   *
   * `stats()` counts both.
   *
   * @default {"wait"}
   */
  overLimit?: OverLimit;
  /**
   * Longest duration of a request in milliseconds. After that, the handler's
   * `signal` is aborted, the connection is closed, and `handleError()` gets a
   * `RequestTimeoutError`.
   *
   * @default {Infinity}
   */
  requestTimeout?: number;
  /**
   * How long `serverClose()` waits for open requests, in milliseconds. Requests
   * that remain are aborted. DRAINING.md says which connections it waits for.
   *
   * @default {10000}
   */
  shutdownTimeout?: number;
  /** Closes the server when aborted, as `serverClose()` does. */
  signal?: AbortSignal;
  /** A value for the handlers. They find it in `this.server.context`. */
  context?: C;
  /**
   * The module that exports the handler's class, and your server's class if you
   * made one: nearly always `import.meta.url`. Threads and processes import it;
   * on the event loop it has no effect. You may put it into the class instead:
   * `static readonly module = import.meta.url`.
   */
  module?: string | URL;
}

/**
 * Options of servers that accept connections.
 *
 * @typeParam C The type of `context`.
 */
export interface StreamServerOptions<C = unknown> extends ServerOptions<C> {
  /**
   * Longest wait of a handler's read or write for the client, in milliseconds.
   * After that, the connection ends as with `requestTimeout`. The server checks
   * eight times in this period, so a read costs nothing extra.
   *
   * @default {Infinity}
   */
  idleTimeout?: number;
  /**
   * Lowest rate in bytes per second at which a client sends and takes data
   * while a handler waits for it. It is an average over 5 seconds of waiting.
   * Below it, the connection ends as with `requestTimeout`.
   *
   * @default {0}
   */
  minRate?: number;
  /**
   * Whether connections begin with a PROXY protocol header, version 1 or 2. A
   * load balancer sends it to pass on the client's address. Handlers and hooks
   * then see that address instead of the balancer's. Not with TLS.
   *
   * - `"require"`: all do. A connection without a valid header is closed.
   * - `"accept"`: some do. The client must send first.
   *
   * @default {undefined} no header is expected
   */
  proxyProtocol?: "require" | "accept";
  /**
   * Addresses and subnets of trusted load balancers, for example `["10.0.0.5",
   * "fd00::/8"]`. A PROXY header from elsewhere closes its connection. Without
   * this option every header is trusted. Clients on Unix sockets are always
   * trusted.
   */
  trustedProxies?: readonly string[];
  /**
   * Longest time for a PROXY header or a TLS handshake in milliseconds. After
   * that, the connection is closed and counted. Deno keeps the socket of a
   * client that never begins a TLS handshake until the client leaves.
   *
   * @default {5000}
   */
  handshakeTimeout?: number;
}

/** Limits for each client of a TCP or UDP server. */
export interface ClientLimits {
  /**
   * Most requests of one client open at once. A client is an IPv4 address or
   * the first 64 bits of an IPv6 address. `overLimit` applies to the next.
   * A connection also counts while its client reads the end of an answer.
   *
   * @default {Infinity}
   */
  maxConnectionsPerClient?: number;
  /**
   * Most requests of one client per second. As many may come at once.
   * `overLimit` applies to the next.
   *
   * @default {Infinity}
   */
  acceptRatePerClient?: number;
  /**
   * Addresses and subnets of the clients to serve, for example `["10.0.0.0/8",
   * "::1"]`. Others are refused; an empty list refuses everybody.
   * `["0.0.0.0/0", "::/0"]` serves everybody.
   *
   * @default {everybody}
   */
  allow?: readonly string[];
  /**
   * Addresses and subnets of clients to refuse. `deny` overrules `allow`.
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
   * Most connections that the system queues until they are accepted. The system
   * refuses or ignores the next.
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
   * Whether to send small writes at once, without waiting for the client to
   * confirm earlier ones. Deno can't set it with TLS.
   *
   * @default {true}
   */
  noDelay?: boolean;
  /**
   * Whether the system probes idle connections, and ends those whose client has
   * vanished. Not with TLS.
   *
   * @default {false}
   */
  keepAlive?: boolean;
  /**
   * The certificate chain in PEM format. Turns on TLS; needs `key`.
   * `replaceCertificate()` changes both on a running server.
   */
  cert?: string;
  /** The private key of `cert` in PEM format. */
  key?: string;
  /** Protocols that the server offers in TLS, in order of preference. */
  alpnProtocols?: string[];
}

/**
 * Options of servers that receive packets.
 *
 * @typeParam C The type of `context`.
 */
export interface DatagramServerOptions<C = unknown> extends ServerOptions<C> {
  /**
   * Longest packet in bytes. A longer packet loses its end, and the handler's
   * `truncated` is `true`. By default the system delivers no longer packet.
   *
   * @default {65527} UDP; 212960 for Unix sockets
   */
  maxPacketSize?: number;
}

/** The option of servers on a Unix socket. */
export interface UnixSocketOptions {
  /**
   * The mode of the socket's file, for example `0o660`. A client needs the
   * permission to write to it. The server sets it whenever it binds its address.
   *
   * @default {undefined} at first what the umask leaves; after that, the mode
   * that the file had when it was closed by `suspend()`
   */
  mode?: number;
}

/**
 * Options of Unix stream servers.
 *
 * @typeParam C The type of `context`.
 */
export interface UnixStreamServerOptions<C = unknown>
  extends StreamServerOptions<C>, UnixSocketOptions {}

/**
 * Options of Unix datagram servers.
 *
 * @typeParam C The type of `context`.
 */
export interface UnixDatagramServerOptions<C = unknown>
  extends DatagramServerOptions<C>, UnixSocketOptions {}

/**
 * Options of UDP servers.
 *
 * @typeParam C The type of `context`.
 */
export interface UdpServerOptions<C = unknown>
  extends DatagramServerOptions<C>, ClientLimits {}

/** The limits that `setLimits()` can change on a running server. */
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

/** The outcome of the requests that were open when a server closed. */
export interface DrainReport {
  /** The number of requests whose handler began and ended. */
  completed: number;
  /**
   * The clients whose requests were aborted, by `shutdownTimeout` or by another
   * time limit meanwhile.
   */
  aborted: Deno.Addr[];
}

/** Options of `serveForever()`. */
export interface ServeOptions {
  /** Ends the serving when aborted, as `shutdown()` does. */
  signal?: AbortSignal;
  /**
   * Signals of the operating system that end the serving, for example
   * `["SIGINT", "SIGTERM"]`. `serveForever()` returns 100 ms after the first
   * signal. Within these 100 ms a second signal is ignored, because under `deno
   * task` a Ctrl-C arrives twice. After that, a second Ctrl-C ends the program.
   */
  signals?: Deno.Signal[];
  /**
   * How long the server still takes clients after a signal, in milliseconds.
   * Meanwhile `isStopping` is `true`: let your health check answer that the
   * server is not ready, and choose more time than your load balancer takes to
   * notice. Kubernetes, for example, still sends clients for a moment after its
   * SIGTERM. A second signal ends the delay.
   *
   * @default {0}
   */
  drainDelay?: number;
}

/** How replicas get their requests. */
export type Dispatch = "auto" | "shard" | "relay" | "isolate";

/**
 * Options of threading and forking servers, in addition to those of the server
 * that they extend.
 *
 * @typeParam C The type of `context`.
 */
export interface ReplicaOptions<C = unknown> extends ServerOptions<C> {
  /**
   * The number of threads or processes. With `"isolate"`, most at once.
   *
   * @default {navigator.hardwareConcurrency} 40 for `"isolate"`
   */
  workers?: number;
  /**
   * How the replicas get their requests.
   *
   * - `"auto"`: `"shard"` if possible, otherwise `"relay"`.
   * - `"shard"`: each replica accepts on the same TCP port.
   * - `"relay"`: the server accepts, and carries the bytes between the client
   *   and the replica with the fewest open requests.
   * - `"isolate"`: as `"relay"`, with a new replica for each request.
   *
   * `"shard"` needs a port that can be shared. It is refused for Unix sockets
   * and packets, with `permissions` or `maxConnections`, and for processes, and
   * threads with TLS, without `--unstable-net` or on systems other than Linux.
   * Processes need `--allow-net` without a list as well. `"auto"` relays then;
   * `stats()` says which it is.
   *
   * Processes that share a port have one queue each. If a process loops
   * endlessly until `stallTimeout`, the clients in its queue are lost. If it is
   * replaced, it accepts until no client has come for 1 s, for at most half of
   * `shutdownTimeout`. `"relay"` loses none.
   *
   * @default {"auto"}
   */
  dispatch?: Dispatch;
  /**
   * The permissions of the handlers. For threads, anything but `"inherit"`
   * needs `--unstable-worker-options`. There it guards against mistakes only: a
   * thread can reach the sockets of its program without a permission. Run
   * hostile code in a `Forking…` server, for example
   * {@linkcode ForkingTCPServer}.
   *
   * @default {"inherit"}
   */
  permissions?: Deno.PermissionOptions;
  /**
   * How long a replica may make no progress, in milliseconds: begin or end no
   * request, read and write nothing, and answer nothing. After that, it counts
   * as stuck in an endless loop and is replaced, and its requests are lost. A
   * process is killed; a thread can't be stopped, so it is set aside. A handler
   * that computes for longer without a read or write needs a higher value.
   * `Infinity` waits forever.
   *
   * @default {5000}
   */
  stallTimeout?: number;
  /**
   * Replaces a replica when it has got this many requests, for example because
   * its code leaks memory. Its successor starts first; then it takes no more
   * requests, finishes those it has within `shutdownTimeout`, and leaves. It may
   * get some more requests until then. Not with `"isolate"`.
   *
   * @default {Infinity}
   */
  maxRequests?: number;
  /**
   * Adds a random number up to this one to `maxRequests`, another for each
   * replica, so that they are not replaced at the same time.
   *
   * @default {0}
   */
  maxRequestsJitter?: number;
  /**
   * Replaces a replica that holds more bytes of memory than this, in the same
   * way. It is measured once a second, or four times in `stallTimeout`. For a process
   * it is the resident memory; for a thread the heap and the buffers of its
   * isolate. Choose more than a replica needs at its start: about 50 MB for a
   * process, 10 MB for a thread. Not with `"isolate"`.
   *
   * @default {Infinity}
   */
  maxMemory?: number;
}

/**
 * The last argument of a server's constructor. It may be left out unless the
 * handlers need a `context`.
 *
 * @typeParam C The type of `context`.
 * @typeParam O The type of the options.
 */
export type OptionsArgument<C, O> = undefined extends C ? [options?: O]
  : [options: O & { context: C }];
