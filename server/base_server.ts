/**
 * The base class of all servers.
 *
 * @module
 */

import type { RequestHandlerClass } from "../handlers/base_request_handler.ts";
import { RequestTimeoutError } from "../handlers/errors.ts";
import type { RequestServer, ServerStats } from "../handlers/request_types.ts";
import {
  type AnyOptions,
  building,
  core,
  prepare,
  role,
  ServerRole,
  settings,
} from "./_internal.ts";
import {
  CHANGEABLE,
  checkLimits,
  checkOptions,
  checkServeOptions,
  staticOptions,
} from "./core/check_options.ts";
import { closeQuietly, isDisconnect, printError } from "./core/faults.ts";
import { Serving } from "./core/serving.ts";
import { checkHandler, runHandler } from "./core/request.ts";
import { findDescriptor } from "./sockets/listen.ts";
import type { Acceptor } from "./acceptor.ts";
import type {
  DrainReport,
  ServeOptions,
  ServerLimits,
  ServerOptions,
} from "./options.ts";
import type { OpenConnection } from "./open_connection.ts";
import type { ServerEvents } from "./server_events.ts";

/** The properties that read an option, and its default. */
const DEFAULTS = {
  requestQueueSize: 511,
  allowReusePort: false,
  timeout: null,
  maxConnections: Infinity,
  shutdownTimeout: 10_000,
};
const ALONE = new ServerRole();
/** Hooks that get the client's address, beside `handleError()`. */
const HOOKS_WITH_ADDRESS = [
  "verifyRequest",
  "processRequest",
  "finishRequest",
] as const;

/**
 * The base of all servers: takes requests from a socket and makes a handler for
 * each. Requests run concurrently on the event loop.
 *
 * Every hook may be overridden by a synchronous or an asynchronous method. An
 * error that a hook throws goes to `handleError()`; it never ends the serving.
 * The hooks of a request are called in this order: `getRequest()`,
 * `verifyRequest()`, `processRequest()`, `finishRequest()`,
 * `shutdownRequest()`, `closeRequest()`; then `serviceActions()`. The
 * constructor calls `serverBind()` and `serverActivate()` before a subclass's
 * fields are set.
 *
 * @example A server that chooses its clients
 * ```ts
 * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * class Choosy extends TCPServer {
 *   override verifyRequest(request: Deno.TcpConn) {
 *     return request.remoteAddr.port < 1_024;
 *   }
 * }
 *
 * await using server = new Choosy({ port: 0 }, EchoHandler);
 * server.serveForever();
 * using client = await Deno.connect(server.serverAddress);
 * assertEquals(await new Response(client.readable).text(), ""); // refused
 * assertEquals((await server.stats()).rejected, 1);
 * ```
 *
 * @typeParam R The type of the requests.
 * @typeParam C The type of `context`.
 */
export abstract class BaseServer<R = unknown, C = unknown>
  implements RequestServer<C>, AsyncDisposable {
  /** The class of the handlers. */
  readonly RequestHandlerClass: RequestHandlerClass<R, C>;
  /** The requested address; once bound, the socket's actual address. */
  serverAddress: Deno.Addr;
  /**
   * The socket; `null` until it is bound, and while child processes alone listen
   * on the port.
   */
  socket: unknown = null;
  /** The source of requests; `null` until the server is activated. */
  acceptor: Acceptor<R> | null = null;
  /** The option `context`. */
  readonly context: C;
  /** Resolves when the server takes requests. Rejects if it never will. */
  readonly ready: Promise<void>;
  /** The option `requestQueueSize`. */
  declare readonly requestQueueSize: number;
  /** The option `allowReusePort`. */
  declare readonly allowReusePort: boolean;
  /** The option `timeout`; may be changed at any time. */
  declare timeout: number | null;
  /**
   * The option `maxConnections`; may be changed at any time, as by
   * `setLimits()`.
   */
  declare maxConnections: number;
  /** The option `shutdownTimeout`; may be changed at any time. */
  declare shutdownTimeout: number;
  /** @ignore */
  [role]: ServerRole = ALONE;
  /** @ignore */
  readonly [core]: Serving<R>;
  /** @ignore */
  [settings]: AnyOptions;
  #signal: AbortSignal | undefined;

  static {
    for (const [name, value] of Object.entries(DEFAULTS)) {
      Object.defineProperty(this.prototype, name, {
        get(this: BaseServer) {
          return this[settings][name as keyof AnyOptions] ?? value;
        },
        ...(CHANGEABLE.has(name) && {
          set(this: BaseServer, value: unknown) {
            this[core].change(name, value);
          },
        }),
      });
    }
  }

  /**
   * Constructs a server and binds its address, unless `bindAndActivate` is
   * `false`.
   *
   * @param address The address, checked and complete.
   * @param RequestHandlerClass The class of the handlers.
   * @param options Limits, time-outs and the context.
   * @throws {TypeError} If the handler or an option has the wrong shape.
   * @throws {RangeError} If a number is out of range.
   */
  constructor(
    address: Deno.Addr,
    RequestHandlerClass: RequestHandlerClass<R, C>,
    options: ServerOptions<C> = {},
  ) {
    const hasReplicas = this[prepare] !== BaseServer.prototype[prepare];
    const { name } = this.constructor;
    checkOptions(name, address.transport, hasReplicas, options);
    // The server of a replica has what its parent has
    const own = building.role === null ? staticOptions(this.constructor) : {};
    if (Object.keys(own).length > 0) {
      options = { ...own as ServerOptions<C>, ...options };
      checkOptions(name, address.transport, hasReplicas, options);
    }
    checkHandler(RequestHandlerClass);
    this.RequestHandlerClass = RequestHandlerClass;
    this.serverAddress = address;
    this.context = options.context as C;
    this[settings] = { ...options };
    this[prepare]();
    this[core] = new Serving<R>(this);
    this[core].cycle.printsAddresses = HOOKS_WITH_ADDRESS.some((hook) =>
      this[hook] !== BaseServer.prototype[hook]
    );
    this.ready = this[core].ready;
    const binds = options.bindAndActivate ?? true;
    if (binds && !this[role].bindsLater) this[core].listening.bind();
    this.#signal = options.signal;
    this.#signal?.addEventListener("abort", this.#onAbort);
  }

  /**
   * Serves requests until `shutdown()` or `serverClose()`. You may call it
   * again after `shutdown()`.
   *
   * @example Serving until a signal from elsewhere in the program
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * await using server = new TCPServer({ port: 0 }, EchoHandler);
   * const controller = new AbortController();
   * const serving = server.serveForever({ signal: controller.signal });
   * await server.ready;
   * controller.abort();
   * await serving;
   * assertEquals((await server.stats()).accepted, 0);
   * ```
   *
   * @param options Other ways to end the serving.
   * @throws {ServerClosedError} If the server is closed.
   * @throws {TypeError} If the server is already serving or is not bound.
   */
  async serveForever(options: ServeOptions = {}): Promise<void> {
    checkServeOptions(options);
    await this[core].forever(options, () => void this.shutdown());
  }

  /**
   * Whether a signal has asked the server to end, and it still takes clients for
   * `drainDelay`.
   *
   * @example A health check
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * await using server = new TCPServer({ port: 0 }, EchoHandler);
   * const health = () => server.isStopping ? 503 : 200;
   * const controller = new AbortController();
   * const { signal } = controller;
   * const serving = server.serveForever({ signal, drainDelay: 50 });
   * await server.ready;
   * assertEquals(health(), 200);
   * controller.abort();
   * assertEquals(health(), 503);
   * using _client = await Deno.connect(server.serverAddress); // still served
   * await serving;
   * ```
   *
   * @returns `true` during the delay.
   */
  get isStopping(): boolean {
    return this[core].isStopping;
  }

  /**
   * Serves one request to its end. Calls `handleTimeout()` if none came within
   * `timeout`. If the server is suspended meanwhile, it waits.
   *
   * @example Serving a single client
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * await using server = new TCPServer({ port: 0 }, EchoHandler);
   * using client = await Deno.connect(server.serverAddress);
   * await client.write(new TextEncoder().encode("once"));
   * await client.closeWrite();
   * await server.handleRequest();
   * assertEquals(await new Response(client.readable).text(), "once");
   * ```
   *
   * @throws {ServerClosedError} If the server is closed.
   * @throws {TypeError} If the server is already serving or is not bound.
   */
  async handleRequest(): Promise<void> {
    await this[core].once();
  }

  /**
   * Ends `serveForever()`. Open requests go on, and the socket stays open:
   * clients that connect wait. You may call it at any time, also from a
   * handler.
   *
   * @example A handler that ends the serving
   * ```ts
   * import { StreamRequestHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * class Stop extends StreamRequestHandler {
   *   override async handle() {
   *     await this.server.shutdown();
   *   }
   * }
   *
   * await using server = new TCPServer({ port: 0 }, Stop);
   * const serving = server.serveForever();
   * using _client = await Deno.connect(server.serverAddress);
   * await serving;
   * assertEquals((await server.stats()).accepted, 1);
   * ```
   *
   * @returns A promise that settles when no more requests are taken.
   */
  shutdown(): Promise<void> {
    return this[role].shutdown() ?? this[core].endServing();
  }

  /**
   * Refuses new clients until `resume()`. Open requests and `serveForever()` go
   * on. Connections that the system has queued are served; then the listener is
   * closed. The system refuses later connections, and may reset one that
   * arrives at that moment. Packets are dropped.
   *
   * @example Pausing for maintenance
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertRejects } from "@std/assert";
   *
   * await using server = new TCPServer({ port: 0 }, EchoHandler);
   * server.serveForever();
   * const { serverAddress } = server;
   * await server.suspend();
   * await assertRejects(
   *   () => Deno.connect(serverAddress),
   *   Deno.errors.ConnectionRefused,
   * );
   * await server.resume();
   * using _client = await Deno.connect(serverAddress);
   * ```
   *
   * @returns A promise that settles when no more requests are taken.
   * @throws {ServerClosedError} If the server is closed.
   */
  async suspend(): Promise<void> {
    this[role].assertMay("suspend");
    await this[core].listening.suspend();
  }

  /**
   * Takes requests again after `suspend()`, on the same address. If it rejects,
   * the server stays suspended.
   *
   * @example Usage
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * await using server = new TCPServer({ port: 0 }, EchoHandler);
   * server.serveForever();
   * const { port } = server.serverAddress;
   * await server.suspend();
   * await server.resume();
   * assertEquals(server.serverAddress.port, port);
   * ```
   *
   * @throws {ServerClosedError} If the server is closed.
   * @throws {Deno.errors.AddrInUse} If another socket took the address
   * meanwhile.
   */
  async resume(): Promise<void> {
    await this[core].listening.resume();
  }

  /**
   * Changes limits while the server runs. Open requests stay open, and they
   * count. `requestTimeout` applies to them at once, `idleTimeout` and
   * `minRate` from their next read or write.
   *
   * @example Usage
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * await using server = new TCPServer({ port: 0 }, EchoHandler);
   * await server.setLimits({ maxConnections: 100, overLimit: "refuse" });
   * assertEquals(server.maxConnections, 100);
   * ```
   *
   * @param limits The limits to change; the others stay as they are.
   * @throws {TypeError} If an option is no limit, or does not apply to this
   * server.
   * @throws {RangeError} If a number is out of range.
   */
  // deno-lint-ignore require-await -- errors must reject
  async setLimits(limits: ServerLimits): Promise<void> {
    this[role].assertMay("change the limits of");
    const { name } = this.constructor;
    checkLimits(name, this.serverAddress.transport, limits);
    this[core].setLimits(limits);
  }

  /**
   * Closes the server for good. It serves what the system has queued, closes
   * the socket, and gives open requests `shutdownTimeout` to finish. A handler
   * that waits in `rfile` between two requests reads the end. Requests that
   * remain are aborted and closed.
   *
   * Do not await it in a handler: it would wait for itself.
   *
   * @example Usage
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const server = new TCPServer({ port: 0 }, EchoHandler);
   * const serving = server.serveForever();
   * const { aborted } = await server.serverClose();
   * await serving;
   * assertEquals(aborted, []);
   * ```
   *
   * @returns The open requests that finished, and those that were aborted.
   */
  serverClose(): Promise<DrainReport> {
    this.#signal?.removeEventListener("abort", this.#onAbort);
    return this[core].close();
  }

  /**
   * Closes the server, as `serverClose()` does.
   *
   * @example Usage
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const server = new TCPServer({ port: 0 }, EchoHandler);
   * {
   *   await using _closing = server;
   * }
   * assertEquals(server.fileno(), -1);
   * ```
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.serverClose();
  }

  /**
   * Returns the file descriptor of the socket. Linux only.
   *
   * @example Usage
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * await using server = new TCPServer({ port: 0 }, EchoHandler);
   * if (Deno.build.os === "linux") assert(server.fileno() > 2);
   * ```
   *
   * @returns The descriptor, or -1 if the server has no socket: it is closed or
   * not bound, or its child processes alone listen on the port.
   * @throws {Deno.errors.NotSupported} If the system has no way to find it.
   */
  fileno(): number {
    if (this[core].listening.isClosed || this.socket === null) return -1;
    const { addr } = this.socket as { addr?: Deno.Addr };
    return findDescriptor(addr ?? this.serverAddress);
  }

  /**
   * Returns the server's counts.
   *
   * @example Usage
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * await using server = new TCPServer({ port: 0 }, EchoHandler);
   * const { accepted, open } = await server.stats();
   * assertEquals([accepted, open], [0, 0]);
   * ```
   *
   * @returns The counts, those of all replicas included.
   */
  async stats(): Promise<ServerStats> {
    const part = await this[role].load();
    return await part.stats(this[core].stats());
  }

  /**
   * Lists the open connections, also those of replicas, and the packets that
   * handlers are answering.
   *
   * @example Ending the connections of one client
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * await using server = new TCPServer({ port: 0 }, EchoHandler);
   * server.serveForever();
   * using client = await Deno.connect(server.serverAddress);
   * await client.write(new Uint8Array(1));
   * await client.read(new Uint8Array(1)); // it is served
   * for (const { id, clientAddress } of server.connections()) {
   *   assertEquals(`${clientAddress}`, `127.0.0.1:${client.localAddr.port}`);
   *   server.disconnect(id);
   * }
   * assertEquals(await client.read(new Uint8Array(1)), null);
   * ```
   *
   * @returns The connections at this moment.
   */
  connections(): OpenConnection[] {
    return this[role].connections(this[core].cycle.open.connections());
  }

  /**
   * Ends an open connection: aborts its handler's `signal` and closes it.
   *
   * @example Usage
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * await using server = new TCPServer({ port: 0 }, EchoHandler);
   * assertEquals(server.disconnect("1"), false); // there is none
   * ```
   *
   * @param id The connection's `id`.
   * @returns Whether there is such a connection.
   */
  disconnect(id: string): boolean {
    return this[core].cycle.disconnect(id) || this[role].disconnect(id);
  }

  /**
   * Adds a listener for an event. A server with replicas also emits their
   * events. An error that a listener throws is printed.
   *
   * @example Usage
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const names: string[] = [];
   * const server = new TCPServer({ port: 0 }, EchoHandler);
   * server.on("drainStart", () => void names.push("start"));
   * server.on("drainEnd", ({ report }) => void names.push(`${report.completed}`));
   * await server.serverClose();
   * assertEquals(names, ["start", "0"]);
   * ```
   *
   * @param name The name of the event.
   * @param listener The function to call. It must not block: the request waits.
   * @throws {TypeError} If there is no such event.
   */
  on<K extends keyof ServerEvents>(
    name: K,
    listener: (event: ServerEvents[K]) => void,
  ): void {
    this[core].telemetry.on(name, listener);
    this[role].watch();
  }

  /**
   * Removes a listener.
   *
   * @example Usage
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const events: string[] = [];
   * const listener = () => void events.push("drainStart");
   * const server = new TCPServer({ port: 0 }, EchoHandler);
   * server.on("drainStart", listener);
   * server.off("drainStart", listener);
   * await server.serverClose();
   * assertEquals(events, []);
   * ```
   *
   * @param name The name of the event.
   * @param listener The function given to `on()`.
   */
  off<K extends keyof ServerEvents>(
    name: K,
    listener: (event: ServerEvents[K]) => void,
  ): void {
    this[core].telemetry.off(name, listener);
    this[role].watch();
  }

  /**
   * Opens `socket` on `serverAddress`. It is called again by `resume()` and
   * `replaceCertificate()`, and when none of the child processes listens that
   * had the port alone.
   *
   * @example Binding later than constructing
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * await using server = new TCPServer({ port: 0 }, EchoHandler, {
   *   bindAndActivate: false,
   * });
   * await server.serverBind();
   * await server.serverActivate();
   * assert(server.serverAddress.port > 0);
   * ```
   */
  abstract serverBind(): void | Promise<void>;

  /**
   * Sets `acceptor`. The server can serve from then on.
   *
   * @example Taking requests from a listener of your own
   * ```ts
   * import {
   *   EchoHandler,
   *   ListenerAcceptor,
   *   TCPServer,
   * } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * class Wrapping extends TCPServer {
   *   override serverActivate() {
   *     this.acceptor = new ListenerAcceptor(this.socket!);
   *   }
   * }
   *
   * await using server = new Wrapping({ port: 0 }, EchoHandler);
   * server.serveForever();
   * using client = await Deno.connect(server.serverAddress);
   * await client.closeWrite();
   * assertEquals(await new Response(client.readable).text(), "");
   * ```
   */
  abstract serverActivate(): void | Promise<void>;

  /**
   * Waits for the next request.
   *
   * @example Counting requests before they are checked
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * let requests = 0;
   * class Counting extends TCPServer {
   *   override async getRequest() {
   *     const taken = await super.getRequest();
   *     requests++;
   *     return taken;
   *   }
   * }
   *
   * await using server = new Counting({ port: 0 }, EchoHandler);
   * using client = await Deno.connect(server.serverAddress);
   * await client.closeWrite();
   * await server.handleRequest();
   * assertEquals(requests, 1);
   * ```
   *
   * @returns The request and its client's address.
   */
  getRequest(): Promise<[request: R, clientAddress: Deno.Addr]> {
    return this.acceptor!.accept();
  }

  /**
   * Decides whether to serve a request. A rejected request is closed and
   * counted. A request that waits for the decision is open: `serverClose()`
   * gives it `shutdownTimeout`.
   *
   * @example Refusing everybody
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * class Closed extends TCPServer {
   *   override verifyRequest() {
   *     return false;
   *   }
   * }
   *
   * await using server = new Closed({ port: 0 }, EchoHandler);
   * using client = await Deno.connect(server.serverAddress);
   * await server.handleRequest();
   * assertEquals(await new Response(client.readable).text(), "");
   * ```
   *
   * @param request The request.
   * @param clientAddress The client's address.
   * @returns `true`, unless overridden.
   */
  verifyRequest(
    // deno-lint-ignore no-unused-vars
    request: R,
    // deno-lint-ignore no-unused-vars
    clientAddress: Deno.Addr,
  ): boolean | Promise<boolean> {
    return true;
  }

  /**
   * Serves a verified request, then closes it.
   *
   * @example Timing requests
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * const times: number[] = [];
   * class Timed extends TCPServer {
   *   override async processRequest(request: Deno.TcpConn, client: Deno.Addr) {
   *     const start = performance.now();
   *     await super.processRequest(request, client);
   *     times.push(performance.now() - start);
   *   }
   * }
   *
   * await using server = new Timed({ port: 0 }, EchoHandler);
   * using client = await Deno.connect(server.serverAddress);
   * await client.closeWrite();
   * await server.handleRequest();
   * assert(times[0]! >= 0);
   * ```
   *
   * @param request The request.
   * @param clientAddress The client's address.
   */
  processRequest(request: R, clientAddress: Deno.Addr): Promise<void> {
    // Not async: that would keep three times the memory for an idle connection
    try {
      const { cycle } = this[core];
      const open = cycle.open.find(request);
      const ending = this[role].process(request, clientAddress);
      if (ending !== undefined) {
        const ended = cycle.servedElsewhere(request, ending);
        const { shutdownRequest } = BaseServer.prototype;
        return ended.then(() => shutdownRequest.call(this, request));
      }
      const finished = this.finishRequest(request, clientAddress);
      return Promise.resolve(finished).then(() => {
        if (open !== undefined) open.shut = true;
        return this.shutdownRequest(request);
      });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Constructs the handler and runs it.
   *
   * @example A function in place of a handler
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * class Greeting extends TCPServer {
   *   override async finishRequest(request: Deno.TcpConn) {
   *     await request.write(new TextEncoder().encode("hello"));
   *   }
   * }
   *
   * await using server = new Greeting({ port: 0 }, EchoHandler);
   * server.serveForever();
   * using client = await Deno.connect(server.serverAddress);
   * assertEquals(await new Response(client.readable).text(), "hello");
   * ```
   *
   * @param request The request.
   * @param clientAddress The client's address.
   */
  finishRequest(request: R, clientAddress: Deno.Addr): Promise<void> {
    const { RequestHandlerClass } = this;
    const handler = new RequestHandlerClass(request, clientAddress, this);
    this[core].cycle.begin(request, handler);
    return runHandler(handler);
  }

  /**
   * Ends a request: calls `closeRequest()`.
   *
   * If a connection is closed with bytes that the handler did not read, the
   * system drops the rest of the answer. So this method ends the server's side
   * only. The server then reads and drops what comes until the client ends its
   * side, for at most 2 s and 16 MiB, or 500 ms while it closes. The request ends
   * without waiting for that.
   *
   * @example Saying goodbye to every client
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * class Polite extends TCPServer {
   *   override async shutdownRequest(request: Deno.TcpConn) {
   *     await request.write(new TextEncoder().encode("bye"));
   *     await super.shutdownRequest(request);
   *   }
   * }
   *
   * await using server = new Polite({ port: 0 }, EchoHandler);
   * server.serveForever();
   * using client = await Deno.connect(server.serverAddress);
   * await client.closeWrite();
   * assertEquals(await new Response(client.readable).text(), "bye");
   * ```
   *
   * @param request The request.
   */
  shutdownRequest(request: R): void | Promise<void> {
    this[core].cycle.linger(request);
    return this.closeRequest(request);
  }

  /**
   * Closes a request. Does nothing for packets.
   *
   * @example Noticing the end of a request
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * const closed: number[] = [];
   * class Noticing extends TCPServer {
   *   override closeRequest(request: Deno.TcpConn) {
   *     closed.push(request.remoteAddr.port);
   *     return super.closeRequest(request);
   *   }
   * }
   *
   * await using server = new Noticing({ port: 0 }, EchoHandler);
   * using client = await Deno.connect(server.serverAddress);
   * await client.closeWrite();
   * await server.handleRequest();
   * assertEquals(closed, [client.localAddr.port]);
   * ```
   *
   * @param request The request.
   */
  closeRequest(request: R): void | Promise<void> {
    if (!this[core].cycle.lingers(request)) closeQuietly(request);
  }

  /**
   * Does nothing unless overridden. `serveForever()` calls it after taking each
   * request.
   *
   * @example Stopping after the first request
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * class Once extends TCPServer {
   *   override serviceActions() {
   *     this.shutdown();
   *   }
   * }
   *
   * await using server = new Once({ port: 0 }, EchoHandler);
   * const serving = server.serveForever();
   * using _client = await Deno.connect(server.serverAddress);
   * await serving;
   * assertEquals((await server.stats()).accepted, 1);
   * ```
   */
  serviceActions(): void | Promise<void> {}

  /**
   * Does nothing unless overridden. `handleRequest()` calls it when no request
   * came within `timeout`.
   *
   * @example Usage
   * ```ts
   * import { EchoHandler, TCPServer } from "@socketserver/socketserver";
   * import { assert } from "@std/assert";
   *
   * let idle = false;
   * class Bored extends TCPServer {
   *   override handleTimeout() {
   *     idle = true;
   *   }
   * }
   *
   * await using server = new Bored({ port: 0 }, EchoHandler, { timeout: 10 });
   * await server.handleRequest();
   * assert(idle);
   * ```
   */
  handleTimeout(): void | Promise<void> {}

  /**
   * Called once for each error of a request. It prints the error, unless
   * overridden. It does not print a client that left, broke off in the middle
   * of a message, or was too slow. While no file descriptor is free, it prints
   * only the message: reading the stack's source would end the program.
   *
   * @example Collecting errors
   * ```ts
   * import { BaseRequestHandler, TCPServer } from "@socketserver/socketserver";
   * import { assertEquals } from "@std/assert";
   *
   * class Faulty extends BaseRequestHandler {
   *   override handle() {
   *     throw new RangeError("a bug");
   *   }
   * }
   * const errors: string[] = [];
   * class Quiet extends TCPServer {
   *   override handleError(error: unknown) {
   *     errors.push(String(error));
   *   }
   * }
   *
   * await using server = new Quiet({ port: 0 }, Faulty);
   * using _client = await Deno.connect(server.serverAddress);
   * await server.handleRequest();
   * assertEquals(errors, ["RangeError: a bug"]);
   * ```
   *
   * @param error The error.
   * @param request The request, or `null` if accepting one failed.
   * @param clientAddress The client's address, or `null` if accepting failed.
   */
  handleError(
    error: unknown,
    request: R | null,
    clientAddress: Deno.Addr | null,
  ): void | Promise<void> {
    if (isDisconnect(error, request) || error instanceof RequestTimeoutError) {
      return;
    }
    printError(error, clientAddress);
  }

  /** @ignore */
  [prepare](): void {}

  #onAbort = (): void => void this.serverClose();
}
