/**
 * The base of all handlers.
 *
 * @module
 */

import {
  abort,
  client,
  giveBackAddress,
  grace,
  printableLike,
  readsAhead,
  release,
  watchOf,
} from "./_internal.ts";
import type { ProxyInfo, RequestServer } from "./request_types.ts";

/**
 * The class of a handler. The server makes an instance for each request.
 *
 * @typeParam R The type of the request.
 * @typeParam C The type of the server's `context`.
 */
export type RequestHandlerClass<R = unknown, C = unknown> = new (
  request: R,
  clientAddress: Deno.Addr,
  server: RequestServer<C>,
) => BaseRequestHandler;

/**
 * The type of the client's address, by the type of the request.
 *
 * @typeParam R The type of the request.
 */
export type AddressOf<R> = R extends { remoteAddr: infer A extends Deno.Addr }
  ? A
  : Deno.Addr;

/**
 * Answers one request. The server makes an instance for each request, calls
 * `setup()`, `handle()` and `finish()` in this order, then closes the request.
 *
 * If `setup()` throws, the other two are not called. If `handle()` throws,
 * `finish()` is still called.
 *
 * @example A handler that works on the connection itself
 * ```ts
 * import { BaseRequestHandler, TCPServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * class Greeter extends BaseRequestHandler<Deno.Conn> {
 *   override async handle() {
 *     await this.request.write(new TextEncoder().encode("hello"));
 *   }
 * }
 *
 * await using server = new TCPServer({ port: 0 }, Greeter);
 * server.serveForever();
 * using client = await Deno.connect(server.serverAddress);
 * assertEquals(await new Response(client.readable).text(), "hello");
 * ```
 *
 * @typeParam R The type of the request: a `Deno.Conn` or a `DatagramRequest`.
 * @typeParam C The type of the server's `context`.
 */
export abstract class BaseRequestHandler<R = unknown, C = unknown> {
  /** The request: a connection or a packet. */
  readonly request: R;
  /** The server that took the request. */
  readonly server: RequestServer<C>;
  /** @ignore */
  [client]: Deno.Addr;
  #controller: AbortController | null = null;
  #reason: { value: unknown } | null = null;

  /**
   * Constructs a handler for one request; called by the server.
   *
   * @param request The connection or the packet.
   * @param clientAddress The client's address.
   * @param server The server that took the request.
   */
  constructor(request: R, clientAddress: Deno.Addr, server: RequestServer<C>) {
    this.request = request;
    this[client] = clientAddress;
    this.server = server;
  }

  /**
   * The client's address. As text it reads as with `formatAddress()`.
   *
   * @example Usage
   * ```ts
   * import { StreamRequestHandler } from "@socketserver/socketserver";
   * import { connect } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * // With the type of the connection, the address has its type, too
   * class Greeter extends StreamRequestHandler<unknown, Deno.TcpConn> {
   *   override async handle() {
   *     const { hostname } = this.clientAddress;
   *     await this.wfile.write(`${hostname}, or ${this.clientAddress}\n`);
   *   }
   * }
   *
   * await using client = connect(Greeter, {
   *   clientAddress: { transport: "tcp", hostname: "::1", port: 4_321 },
   * });
   * assertEquals(await client.rfile.readLine(), "::1, or [::1]:4321");
   * ```
   *
   * @returns The address: a `Deno.NetAddr` for a `Deno.TcpConn`.
   */
  get clientAddress(): AddressOf<R> {
    return (this[client] = printableLike(this[client])) as AddressOf<R>;
  }

  /**
   * The values of a PROXY header of version 2, which a load balancer sends
   * before the connection's bytes. Needs the option `proxyProtocol`.
   *
   * @example Choosing by the name that the client asked for
   * ```ts
   * import { StreamRequestHandler } from "@socketserver/socketserver";
   * import { connect } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * class Named extends StreamRequestHandler {
   *   override async handle() {
   *     const name = this.proxyInfo?.authority ?? "nobody";
   *     await this.wfile.write(`for ${name}\n`);
   *   }
   * }
   *
   * await using client = connect(Named);
   * assertEquals(await client.rfile.readLine(), "for nobody");
   * ```
   *
   * @returns It, or `null` if there was none.
   */
  get proxyInfo(): ProxyInfo | null {
    return (this.request as { proxyInfo?: ProxyInfo } | null)?.proxyInfo ??
      null;
  }

  /**
   * Aborted if the request has not ended `shutdownTimeout` after the server
   * began to close, or exceeds a time limit. Pass it to everything that the
   * handler waits for.
   *
   * @example Usage
   * ```ts
   * import { BaseRequestHandler } from "@socketserver/socketserver";
   * import { connect } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * class Patient extends BaseRequestHandler<Deno.Conn> {
   *   override async handle() {
   *     await new Promise((resolve) => this.signal.onabort = resolve);
   *   }
   * }
   *
   * await using client = connect(Patient);
   * client.abort("the server closes"); // as a server does
   * await client.ended;
   * assertEquals(client.handler.signal.reason, "the server closes");
   * ```
   *
   * @returns The signal of this request.
   */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#reason !== null) this.#controller.abort(this.#reason.value);
    return this.#controller.signal;
  }

  /**
   * Prepares the request. Called first; does nothing unless overridden.
   *
   * @example Usage
   * ```ts
   * import { BaseRequestHandler } from "@socketserver/socketserver";
   * import { connect } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * const calls: string[] = [];
   * class Noted extends BaseRequestHandler {
   *   override setup() {
   *     calls.push("setup");
   *   }
   *   override handle() {
   *     calls.push("handle");
   *   }
   *   override finish() {
   *     calls.push("finish");
   *   }
   * }
   *
   * await using client = connect(Noted);
   * await client.ended;
   * assertEquals(calls, ["setup", "handle", "finish"]);
   * ```
   */
  setup(): void | Promise<void> {}

  /**
   * Does the work of the request.
   *
   * @example Usage
   * ```ts
   * import { BaseRequestHandler } from "@socketserver/socketserver";
   * import { connect } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * class Once extends BaseRequestHandler<Deno.Conn> {
   *   override async handle() {
   *     await this.request.write(new TextEncoder().encode("once\n"));
   *   }
   * }
   *
   * await using client = connect(Once);
   * assertEquals(await client.rfile.readLine(), "once");
   * ```
   */
  abstract handle(): void | Promise<void>;

  /**
   * Cleans up. Called after `handle()`, also if that threw; does nothing unless
   * overridden.
   *
   * @example Usage
   * ```ts
   * import { BaseRequestHandler } from "@socketserver/socketserver";
   * import { connect } from "@socketserver/socketserver/testing";
   * import { assert, assertRejects } from "@std/assert";
   *
   * let finished = false;
   * class Failing extends BaseRequestHandler {
   *   override handle() {
   *     throw new RangeError("in handle");
   *   }
   *   override finish() {
   *     finished = true;
   *   }
   * }
   *
   * await using client = connect(Failing);
   * await assertRejects(() => client.ended, RangeError);
   * assert(finished);
   * ```
   */
  finish(): void | Promise<void> {}

  /**
   * Says that a request has begun, until `endRequest()`. A server that closes,
   * and a replica that is replaced, let it go on for `shutdownTimeout`.
   *
   * Without these calls, a connection counts as between two requests if
   * something was written since the last byte was read, and no part of a next
   * request has arrived. Call them where that is wrong: in a tunnel, in a
   * protocol that answers in the middle of a request, or never.
   *
   * After the first call of either method these calls alone count, and bytes
   * that a read has taken without being complete. For packets they do nothing.
   *
   * @example A request with two answers
   * ```ts
   * import { StreamRequestHandler } from "@socketserver/socketserver";
   * import { connect } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * class Mail extends StreamRequestHandler {
   *   override async handle() {
   *     while (await this.rfile.readLine() === "DATA") {
   *       this.beginRequest();
   *       await this.wfile.write("354 go on\n");
   *       while (await this.rfile.readLine() !== ".");
   *       await this.wfile.write("250 kept\n");
   *       this.endRequest();
   *     }
   *   }
   * }
   *
   * await using client = connect(Mail);
   * await client.wfile.write("DATA\n");
   * assertEquals(await client.rfile.readLine(), "354 go on");
   * client.drain();
   * await client.clock.advance(8_000); // a slow client
   * await client.wfile.write("Hello!\n.\n");
   * assertEquals(await client.rfile.readLine(), "250 kept");
   * ```
   */
  beginRequest(): void {
    watchOf(this.request)?.mark(true);
  }

  /**
   * Says that no request is under way, until `beginRequest()`. When the server
   * closes, the handler's next read, or the pending one, then finds the end.
   *
   * @example A handler that never answers
   * ```ts
   * import { StreamRequestHandler } from "@socketserver/socketserver";
   * import { connect } from "@socketserver/socketserver/testing";
   * import { assertEquals } from "@std/assert";
   *
   * const kept: string[] = [];
   * class Log extends StreamRequestHandler {
   *   override async handle() {
   *     this.endRequest();
   *     for await (const line of this.rfile) kept.push(line);
   *   }
   * }
   *
   * await using client = connect(Log);
   * await client.wfile.write("one line\n");
   * client.drain();
   * await client.clock.advance(50);
   * await client.ended;
   * assertEquals(kept, ["one line"]);
   * ```
   */
  endRequest(): void {
    watchOf(this.request)?.mark(false);
  }

  /** @ignore */
  get [grace](): number {
    return 0;
  }

  /** @ignore */
  get [readsAhead](): boolean {
    return false;
  }

  /** @ignore */
  [abort](reason: unknown): void {
    this.#reason = { value: reason };
    this.#controller?.abort(reason);
  }

  /** @ignore */
  [release](): void | Promise<void> {
    watchOf(this.request)?.release();
    giveBackAddress(this[client]);
  }
}
