/**
 * What all servers have in common.
 *
 * @module
 */

import type { RequestHandlerClass } from "../handlers/base_request_handler.ts";
import { RequestTimeoutError } from "../handlers/errors.ts";
import type { RequestServer, ServerStats } from "../handlers/request_server.ts";
import { core, prepare, role, type ServerRole, settings } from "./_internal.ts";
import {
  type AnyOptions,
  checkLimits,
  checkOptions,
} from "./core/check_options.ts";

import { closeQuietly, isDisconnect } from "./core/disconnect.ts";

import { printError } from "./core/error_report.ts";

import { Serving } from "./core/serving.ts";
import { checkHandler, runHandler } from "./core/run_handler.ts";

import { findDescriptor } from "./sockets/fileno.ts";
import type { Acceptor } from "./acceptor.ts";

import type { DrainReport } from "./drain_report.ts";
import type { ServeOptions, ServerLimits, ServerOptions } from "./options.ts";
import type { ServerEvents } from "./server_events.ts";

const DEFAULT_QUEUE_SIZE = 511;
const DEFAULT_SHUTDOWN_TIMEOUT_MS = 10_000;

/**
 * Takes requests from a socket and makes a handler for each: the base of all
 * servers. Requests are handled concurrently on the event loop.
 *
 * Every hook can be overridden, by a synchronous or an asynchronous method; an
 * error that a hook throws goes to `handleError()` and never ends the serving.
 * For a request they are called in this order: `getRequest()`,
 * `verifyRequest()`, `processRequest()`, `finishRequest()`, `shutdownRequest()`,
 * `closeRequest()`; then `serviceActions()`. The constructor calls
 * `serverBind()` and `serverActivate()` before the fields of a subclass have
 * their values.
 *
 * @typeParam R The type of the requests.
 * @typeParam C The type of `context`.
 */
export abstract class BaseServer<R = unknown, C = unknown>
  implements RequestServer<C>, AsyncDisposable {
  /** The class of the handlers. */
  readonly RequestHandlerClass: RequestHandlerClass<R, C>;
  /** The address asked for, and once it is bound the socket's own. */
  serverAddress: Deno.Addr;
  /** The socket, once it is bound. */
  socket: unknown = null;
  /** Where the requests come from, once the server is activated. */
  acceptor: Acceptor<R> | null = null;
  /** The value of the option `context`. */
  readonly context: C;
  /** Settles when requests are being served; rejects if they never will be. */
  readonly ready: Promise<void>;
  /** Value of the option `requestQueueSize`. */
  readonly requestQueueSize: number;
  /** Value of the option `allowReusePort`. */
  readonly allowReusePort: boolean;
  /** Value of the option `timeout`; may be changed at any time. */
  timeout: number | null;
  /** Value of the option `maxConnections`; may be changed at any time. */
  maxConnections: number;
  /** Value of the option `shutdownTimeout`; may be changed at any time. */
  shutdownTimeout: number;
  /** @ignore */
  [role]: ServerRole | null = null;
  /** @ignore */
  readonly [core]: Serving<R>;
  /** @ignore */
  readonly [settings]: AnyOptions;
  #signal: AbortSignal | undefined;

  /**
   * Constructs a server and binds its address, unless told not to.
   *
   * @param address The address, checked and complete.
   * @param RequestHandlerClass The class of the handlers.
   * @param options The limits, the time-outs, the context.
   * @throws {TypeError} If the handler or an option is of the wrong shape.
   * @throws {RangeError} If a number is out of its range.
   */
  constructor(
    address: Deno.Addr,
    RequestHandlerClass: RequestHandlerClass<R, C>,
    options: ServerOptions<C> = {},
  ) {
    const hasReplicas = this[prepare] !== BaseServer.prototype[prepare];
    const { name } = this.constructor;
    checkOptions(name, address.transport, hasReplicas, options);
    checkHandler(RequestHandlerClass);
    this.RequestHandlerClass = RequestHandlerClass;
    this.serverAddress = address;
    this.context = options.context as C;
    const all: AnyOptions = this[settings] = options as ServerOptions;
    this.requestQueueSize = all.requestQueueSize ?? DEFAULT_QUEUE_SIZE;
    this.allowReusePort = all.allowReusePort ?? false;
    this.timeout = options.timeout ?? null;
    this.maxConnections = options.maxConnections ?? Infinity;
    this.shutdownTimeout = options.shutdownTimeout ??
      DEFAULT_SHUTDOWN_TIMEOUT_MS;
    this[core] = new Serving<R>(this, all);
    this.ready = this[core].ready;
    this[prepare](options);
    this[core].cycle.observer = this[role];
    const binds = options.bindAndActivate ?? true;
    if (binds && !this[role]?.bindsLater) this[core].join();
    this.#signal = options.signal;
    this.#signal?.addEventListener("abort", this.#onAbort);
  }

  /**
   * Serves requests until `shutdown()` or `serverClose()`. May be called again
   * after `shutdown()`.
   *
   * @param options Other ways to end the serving.
   * @throws {ServerClosedError} If the server was closed.
   * @throws {TypeError} If the server serves already or is not bound.
   */
  async serveForever(options: ServeOptions = {}): Promise<void> {
    await this[core].forever(options, () => void this.shutdown());
  }

  /**
   * Serves one request to its end, or calls `handleTimeout()` when none came
   * within `timeout`.
   *
   * @throws {ServerClosedError} If the server was closed.
   * @throws {TypeError} If the server serves already or is not bound.
   */
  async handleRequest(): Promise<void> {
    await this[core].once();
  }

  /**
   * Ends `serveForever()`. Open requests go on, the socket stays open, and
   * clients that connect wait. May be called at any time, from handlers too.
   *
   * @returns A promise that settles when no more requests are taken.
   */
  shutdown(): Promise<void> {
    return this[role]?.shutdown?.() ?? this[core].endServing();
  }

  /**
   * Refuses new clients until `resume()`; open requests go on, and so does
   * `serveForever()`. Connections that the system has queued are served, then
   * the listener is closed: the system refuses new ones, and may reset one that
   * comes at that moment. Packets are dropped.
   *
   * @returns A promise that settles when no more requests are taken.
   * @throws {ServerClosedError} If the server was closed.
   */
  async suspend(): Promise<void> {
    await this[core].suspend();
  }

  /**
   * Takes requests again after `suspend()`, on the same address. If it rejects,
   * the server stays suspended.
   *
   * @throws {ServerClosedError} If the server was closed.
   * @throws {Deno.errors.AddrInUse} If the address was taken meanwhile.
   */
  async resume(): Promise<void> {
    await this[core].resume();
  }

  /**
   * Changes limits while the server runs. Open requests stay open; they count.
   * `requestTimeout` holds for them from now on, `idleTimeout` and `minRate`
   * from their next read or write.
   *
   * @param limits The limits to change; others stay as they are.
   * @throws {TypeError} If one is no limit, or has no meaning for this server.
   * @throws {RangeError} If a number is out of its range.
   */
  async setLimits(limits: ServerLimits): Promise<void> {
    const { name } = this.constructor;
    checkLimits(name, this.serverAddress.transport, limits);
    await this[role]?.setLimits?.(limits);
    this[core].setLimits(limits);
  }

  /**
   * Closes the server for good: takes what the system has queued already,
   * closes the socket, and lets open requests finish for `shutdownTimeout`.
   * Handlers that wait in `rfile` with nothing of a request read find its end.
   * What remains is aborted and closed.
   *
   * A handler must not wait for it: it would wait for itself.
   *
   * @returns What became of the open requests.
   */
  serverClose(): Promise<DrainReport> {
    this.#signal?.removeEventListener("abort", this.#onAbort);
    return this[core].close();
  }

  /** Closes the server, as `serverClose()` does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.serverClose();
  }

  /**
   * Tells the file descriptor of the socket (Linux).
   *
   * @returns The descriptor, -1 when the server is closed or not bound.
   * @throws {Deno.errors.NotSupported} If the system does not tell it.
   */
  fileno(): number {
    if (this[core].isClosed || this.socket === null) return -1;
    const { addr } = this.socket as { addr?: Deno.Addr };
    return findDescriptor(addr ?? this.serverAddress);
  }

  /**
   * Counts what has happened.
   *
   * @returns The counts.
   */
  async stats(): Promise<ServerStats> {
    const own = this[core].stats();
    return await this[role]?.stats?.(own) ?? own;
  }

  /**
   * Calls a listener with each event of a kind, until `off()`. A server with
   * replicas tells what happens in them, too. What a listener throws is printed.
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
   * @param listener What to call. It must not block: the request waits for it.
   * @throws {TypeError} If there is no such event.
   */
  on<K extends keyof ServerEvents>(
    name: K,
    listener: (event: ServerEvents[K]) => void,
  ): void {
    this[core].telemetry.on(name, listener);
    this[role]?.watch?.();
  }

  /**
   * Calls a listener no more.
   *
   * @param name The name of the event.
   * @param listener What was given to `on()`.
   */
  off<K extends keyof ServerEvents>(
    name: K,
    listener: (event: ServerEvents[K]) => void,
  ): void {
    this[core].telemetry.off(name, listener);
    this[role]?.watch?.();
  }

  /** Opens `socket` on `serverAddress`. */
  abstract serverBind(): void | Promise<void>;

  /** Sets `acceptor`, after which the server can serve. */
  abstract serverActivate(): void | Promise<void>;

  /**
   * Waits for the next request.
   *
   * @returns The request and its client's address.
   */
  getRequest(): Promise<[request: R, clientAddress: Deno.Addr]> {
    return this.acceptor!.accept();
  }

  /**
   * Decides whether a request is served.
   *
   * @param _request The request.
   * @param _clientAddress Its client's address.
   * @returns Always `true`, unless overridden.
   */
  verifyRequest(
    _request: R,
    _clientAddress: Deno.Addr,
  ): boolean | Promise<boolean> {
    return true;
  }

  /**
   * Serves a request that was found good, and closes it.
   *
   * @param request The request.
   * @param clientAddress Its client's address.
   */
  async processRequest(request: R, clientAddress: Deno.Addr): Promise<void> {
    const elsewhere = this[role]?.process?.(request, clientAddress);
    if (elsewhere !== undefined) {
      await elsewhere;
      return await this.closeRequest(request);
    }
    await this.finishRequest(request, clientAddress);
    this[core].cycle.open.setShut(request);
    const shut = this.shutdownRequest(request);
    if (shut !== undefined) await shut;
  }

  /**
   * Makes a handler and calls its methods.
   *
   * @param request The request.
   * @param clientAddress Its client's address.
   */
  finishRequest(request: R, clientAddress: Deno.Addr): Promise<void> {
    const { RequestHandlerClass } = this;
    const handler = new RequestHandlerClass(request, clientAddress, this);
    this[core].cycle.begin(request, handler);
    return runHandler(handler);
  }

  /**
   * Ends a request; calls `closeRequest()`.
   *
   * @param request The request.
   */
  shutdownRequest(request: R): void | Promise<void> {
    return this.closeRequest(request);
  }

  /**
   * Closes a request. Does nothing for packets.
   *
   * @param request The request.
   */
  closeRequest(request: R): void | Promise<void> {
    closeQuietly(request);
  }

  /** Called by `serveForever()` after each request was taken. */
  serviceActions(): void | Promise<void> {}

  /** Called by `handleRequest()` when no request came in time. */
  handleTimeout(): void | Promise<void> {}

  /**
   * Called with every error of a request, once. Unless overridden it prints the
   * error, except for a client that went away, left in the middle of a message
   * or was too slow. While no file descriptor is free it prints the message
   * without the stack, which would end the program.
   *
   * @param error What was thrown.
   * @param request The request; `null` when accepting one failed.
   * @param clientAddress Its client's address; `null` likewise.
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
  [prepare](_options: ServerOptions<C>): void {}

  #onAbort = (): void => void this.serverClose();
}
