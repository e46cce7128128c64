/**
 * The servers that handle requests in threads or child processes.
 *
 * @module
 */

import type { RequestHandlerClass } from "../handlers/base_request_handler.ts";
import type { DatagramRequest } from "../handlers/request_types.ts";
import type { TcpAddress, UnixAddress } from "./addresses.ts";
import type {
  OptionsArgument,
  ReplicaOptions,
  TcpServerOptions,
  UdpServerOptions,
  UnixDatagramServerOptions,
  UnixStreamServerOptions,
} from "./options.ts";
import {
  addReplicas,
  extendWithReplicas,
  type ReplicaClass,
  type ReplicaServer,
  type ServerClass,
} from "./replicas/replica_class.ts";
import { TCPServer } from "./tcp_server.ts";
import { UDPServer } from "./udp_server.ts";
import { UnixDatagramServer } from "./unix_datagram_server.ts";
import { UnixStreamServer } from "./unix_stream_server.ts";

/**
 * Makes a server class handle its requests in threads.
 *
 * Extend the returned class and export your subclass, so that threads can
 * import it. Overridden hooks run where a request is accepted.
 *
 * @example Usage
 * ```ts ignore
 * import { EchoHandler, TCPServer, ThreadingMixIn } from "@socketserver/socketserver";
 *
 * export class MyServer extends ThreadingMixIn(TCPServer) {
 *   static readonly module = import.meta.url;
 * }
 *
 * if (import.meta.main) {
 *   await using server = new MyServer({ port: 8080 }, EchoHandler);
 *   await server.serveForever();
 * }
 * ```
 *
 * @typeParam T The server's class.
 * @param Base The server's class.
 * @returns A class to extend.
 */
export function ThreadingMixIn<T extends ServerClass>(
  Base: T,
): ReplicaClass<T> {
  return extendWithReplicas(Base, "thread");
}

/**
 * Serves TCP connections in threads, each with its own event loop. Needs the
 * permissions of {@linkcode TCPServer} and `--allow-read` for the modules.
 *
 * By default the threads share the port, and each accepts.
 *
 * @example Usage
 * ```ts
 * import { EchoHandler, ThreadingTCPServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = new ThreadingTCPServer({ port: 0 }, EchoHandler);
 * server.serveForever();
 * using client = await Deno.connect(server.serverAddress);
 * await client.write(new TextEncoder().encode("ping"));
 * await client.closeWrite();
 * assertEquals(await new Response(client.readable).text(), "ping");
 * ```
 *
 * @typeParam C The type of `context`.
 */
export class ThreadingTCPServer<C = unknown> extends TCPServer<C> {
  static {
    addReplicas(this, "thread", import.meta.url);
  }

  /**
   * Constructs a server and binds its address. The threads start when it
   * begins to serve.
   *
   * @param address The interface and the port.
   * @param RequestHandlerClass The class of the handlers.
   * @param options The module, the number of threads and the limits.
   * @throws {TypeError} If an argument has the wrong shape.
   * @throws {RangeError} If a number is out of range.
   * @throws {ModuleImportError} If a thread can't import the classes.
   * @throws {Deno.errors.AddrInUse} If another socket has the address.
   */
  constructor(
    address: TcpAddress,
    RequestHandlerClass: RequestHandlerClass<Deno.TcpConn, C>,
    ...options: OptionsArgument<C, TcpServerOptions<C> & ReplicaOptions<C>>
  ) {
    super(address, RequestHandlerClass, options[0] as never);
  }
}

/** Replaces its threads while it serves. */
export interface ThreadingTCPServer<C = unknown> extends ReplicaServer {}

/**
 * Serves UDP packets in threads, each with its own event loop. Needs the
 * permissions of {@linkcode UDPServer} and `--allow-read` for the modules.
 *
 * The server receives the requests and relays each to the thread with the fewest open requests.
 *
 * @example Usage
 * ```ts
 * import { EchoHandler, ThreadingUDPServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = new ThreadingUDPServer({ port: 0 }, EchoHandler);
 * server.serveForever();
 * const client = Deno.listenDatagram({
 *   transport: "udp",
 *   hostname: "127.0.0.1",
 *   port: 0,
 * });
 * await client.send(new Uint8Array([1, 2]), server.serverAddress);
 * const [reply] = await client.receive();
 * assertEquals(reply, new Uint8Array([1, 2]));
 * client.close();
 * ```
 *
 * @typeParam C The type of `context`.
 */
export class ThreadingUDPServer<C = unknown> extends UDPServer<C> {
  static {
    addReplicas(this, "thread", import.meta.url);
  }

  /**
   * Constructs a server and binds its address. The threads start when it
   * begins to serve.
   *
   * @param address The interface and the port.
   * @param RequestHandlerClass The class of the handlers.
   * @param options The module, the number of threads and the limits.
   * @throws {TypeError} If an argument has the wrong shape.
   * @throws {RangeError} If a number is out of range.
   * @throws {ModuleImportError} If a thread can't import the classes.
   * @throws {Deno.errors.AddrInUse} If another socket has the address.
   */
  constructor(
    address: TcpAddress,
    RequestHandlerClass: RequestHandlerClass<DatagramRequest, C>,
    ...options: OptionsArgument<C, UdpServerOptions<C> & ReplicaOptions<C>>
  ) {
    super(address, RequestHandlerClass, options[0] as never);
  }
}

/** Replaces its threads while it serves. */
export interface ThreadingUDPServer<C = unknown> extends ReplicaServer {}

/**
 * Serves connections on a Unix socket in threads, each with its own event loop.
 * Needs the permissions of {@linkcode UnixStreamServer} and `--allow-read` for
 * the modules.
 *
 * The server receives the requests and relays each to the thread with the fewest open requests.
 *
 * @example Usage
 * ```ts
 * import { EchoHandler, ThreadingUnixStreamServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * const server = new ThreadingUnixStreamServer({ path: `${dir}/s` }, EchoHandler);
 * server.serveForever();
 * const client = await Deno.connect(server.serverAddress);
 * await client.write(new TextEncoder().encode("ping"));
 * await client.closeWrite();
 * assertEquals(await new Response(client.readable).text(), "ping");
 *
 * await server.serverClose();
 * await Deno.remove(dir);
 * ```
 *
 * @typeParam C The type of `context`.
 */
export class ThreadingUnixStreamServer<C = unknown>
  extends UnixStreamServer<C> {
  static {
    addReplicas(this, "thread", import.meta.url);
  }

  /**
   * Constructs a server and binds its address. The threads start when it
   * begins to serve.
   *
   * @param address The path.
   * @param RequestHandlerClass The class of the handlers.
   * @param options The module, the number of threads and the limits.
   * @throws {TypeError} If an argument has the wrong shape.
   * @throws {RangeError} If a number is out of range.
   * @throws {ModuleImportError} If a thread can't import the classes.
   * @throws {Deno.errors.AddrInUse} If another socket has the address.
   */
  constructor(
    address: UnixAddress,
    RequestHandlerClass: RequestHandlerClass<Deno.UnixConn, C>,
    ...options: OptionsArgument<
      C,
      UnixStreamServerOptions<C> & ReplicaOptions<C>
    >
  ) {
    super(address, RequestHandlerClass, options[0] as never);
  }
}

/** Replaces its threads while it serves. */
export interface ThreadingUnixStreamServer<C = unknown> extends ReplicaServer {}

/**
 * Serves packets on a Unix socket in threads, each with its own event loop.
 * Needs the permissions of {@linkcode UnixDatagramServer} and `--allow-read`
 * for the modules.
 *
 * The server receives the requests and relays each to the thread with the fewest open requests.
 *
 * @example Usage
 * ```ts
 * import { EchoHandler, ThreadingUnixDatagramServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * const server = new ThreadingUnixDatagramServer({ path: `${dir}/s` }, EchoHandler);
 * server.serveForever();
 * const client = Deno.listenDatagram({
 *   transport: "unixpacket",
 *   path: `${dir}/c`,
 * });
 * await client.send(new Uint8Array([1, 2]), server.serverAddress);
 * const [reply] = await client.receive();
 * assertEquals(reply, new Uint8Array([1, 2]));
 *
 * client.close();
 * await server.serverClose();
 * await Deno.remove(dir, { recursive: true });
 * ```
 *
 * @typeParam C The type of `context`.
 */
export class ThreadingUnixDatagramServer<C = unknown>
  extends UnixDatagramServer<C> {
  static {
    addReplicas(this, "thread", import.meta.url);
  }

  /**
   * Constructs a server and binds its address. The threads start when it
   * begins to serve.
   *
   * @param address The path.
   * @param RequestHandlerClass The class of the handlers.
   * @param options The module, the number of threads and the limits.
   * @throws {TypeError} If an argument has the wrong shape.
   * @throws {RangeError} If a number is out of range.
   * @throws {ModuleImportError} If a thread can't import the classes.
   * @throws {Deno.errors.AddrInUse} If another socket has the address.
   */
  constructor(
    address: UnixAddress,
    RequestHandlerClass: RequestHandlerClass<DatagramRequest, C>,
    ...options: OptionsArgument<
      C,
      UnixDatagramServerOptions<C> & ReplicaOptions<C>
    >
  ) {
    super(address, RequestHandlerClass, options[0] as never);
  }
}

/** Replaces its threads while it serves. */
export interface ThreadingUnixDatagramServer<C = unknown>
  extends ReplicaServer {}

/**
 * Makes a server class handle its requests in child processes.
 *
 * Extend the returned class and export your subclass, so that replicas can
 * import it. Overridden hooks run where a request is accepted.
 *
 * @example Usage
 * ```ts ignore
 * import { EchoHandler, TCPServer, ForkingMixIn } from "@socketserver/socketserver";
 *
 * export class MyServer extends ForkingMixIn(TCPServer) {
 *   static readonly module = import.meta.url;
 * }
 *
 * if (import.meta.main) {
 *   await using server = new MyServer({ port: 8080 }, EchoHandler);
 *   await server.serveForever();
 * }
 * ```
 *
 * @typeParam T The server's class.
 * @param Base The server's class.
 * @returns A class to extend.
 */
export function ForkingMixIn<T extends ServerClass>(Base: T): ReplicaClass<T> {
  return extendWithReplicas(Base, "process");
}

/**
 * Serves TCP connections in child processes, each with its own event loop.
 * Needs the permissions of {@linkcode TCPServer}, `--allow-run`, and
 * `--allow-read` and `--allow-write` for the temporary directory.
 *
 * By default the processes share the port, and each accepts. This needs
 * Linux and `--unstable-net`; elsewhere the server relays.
 *
 * @example Usage
 * ```ts
 * import { EchoHandler, ForkingTCPServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = new ForkingTCPServer({ port: 0 }, EchoHandler);
 * server.serveForever();
 * using client = await Deno.connect(server.serverAddress);
 * await client.write(new TextEncoder().encode("ping"));
 * await client.closeWrite();
 * assertEquals(await new Response(client.readable).text(), "ping");
 * ```
 *
 * @typeParam C The type of `context`.
 */
export class ForkingTCPServer<C = unknown> extends TCPServer<C> {
  static {
    addReplicas(this, "process", import.meta.url);
  }

  /**
   * Constructs a server and binds its address. The child processes start when
   * it begins to serve.
   *
   * @param address The interface and the port.
   * @param RequestHandlerClass The class of the handlers.
   * @param options The module, the number of child processes and the limits.
   * @throws {TypeError} If an argument has the wrong shape.
   * @throws {RangeError} If a number is out of range.
   * @throws {ModuleImportError} If a process can't import the classes.
   * @throws {Deno.errors.AddrInUse} If another socket has the address.
   */
  constructor(
    address: TcpAddress,
    RequestHandlerClass: RequestHandlerClass<Deno.TcpConn, C>,
    ...options: OptionsArgument<C, TcpServerOptions<C> & ReplicaOptions<C>>
  ) {
    super(address, RequestHandlerClass, options[0] as never);
  }
}

/** Replaces its processes while it serves. */
export interface ForkingTCPServer<C = unknown> extends ReplicaServer {}

/**
 * Serves UDP packets in child processes, each with its own event loop. Needs
 * the permissions of {@linkcode UDPServer}, `--allow-run`, and `--allow-read`
 * and `--allow-write` for the temporary directory.
 *
 * The server receives the requests and relays each to the process with the fewest open requests.
 *
 * @example Usage
 * ```ts
 * import { EchoHandler, ForkingUDPServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = new ForkingUDPServer({ port: 0 }, EchoHandler);
 * server.serveForever();
 * const client = Deno.listenDatagram({
 *   transport: "udp",
 *   hostname: "127.0.0.1",
 *   port: 0,
 * });
 * await client.send(new Uint8Array([1, 2]), server.serverAddress);
 * const [reply] = await client.receive();
 * assertEquals(reply, new Uint8Array([1, 2]));
 * client.close();
 * ```
 *
 * @typeParam C The type of `context`.
 */
export class ForkingUDPServer<C = unknown> extends UDPServer<C> {
  static {
    addReplicas(this, "process", import.meta.url);
  }

  /**
   * Constructs a server and binds its address. The child processes start when
   * it begins to serve.
   *
   * @param address The interface and the port.
   * @param RequestHandlerClass The class of the handlers.
   * @param options The module, the number of child processes and the limits.
   * @throws {TypeError} If an argument has the wrong shape.
   * @throws {RangeError} If a number is out of range.
   * @throws {ModuleImportError} If a process can't import the classes.
   * @throws {Deno.errors.AddrInUse} If another socket has the address.
   */
  constructor(
    address: TcpAddress,
    RequestHandlerClass: RequestHandlerClass<DatagramRequest, C>,
    ...options: OptionsArgument<C, UdpServerOptions<C> & ReplicaOptions<C>>
  ) {
    super(address, RequestHandlerClass, options[0] as never);
  }
}

/** Replaces its processes while it serves. */
export interface ForkingUDPServer<C = unknown> extends ReplicaServer {}

/**
 * Serves connections on a Unix socket in child processes, each with its own
 * event loop. Needs the permissions of {@linkcode UnixStreamServer},
 * `--allow-run`, and `--allow-read` and `--allow-write` for the temporary
 * directory.
 *
 * The server receives the requests and relays each to the process with the fewest open requests.
 *
 * @example Usage
 * ```ts
 * import { EchoHandler, ForkingUnixStreamServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * const server = new ForkingUnixStreamServer({ path: `${dir}/s` }, EchoHandler);
 * server.serveForever();
 * const client = await Deno.connect(server.serverAddress);
 * await client.write(new TextEncoder().encode("ping"));
 * await client.closeWrite();
 * assertEquals(await new Response(client.readable).text(), "ping");
 *
 * await server.serverClose();
 * await Deno.remove(dir);
 * ```
 *
 * @typeParam C The type of `context`.
 */
export class ForkingUnixStreamServer<C = unknown> extends UnixStreamServer<C> {
  static {
    addReplicas(this, "process", import.meta.url);
  }

  /**
   * Constructs a server and binds its address. The child processes start when
   * it begins to serve.
   *
   * @param address The path.
   * @param RequestHandlerClass The class of the handlers.
   * @param options The module, the number of child processes and the limits.
   * @throws {TypeError} If an argument has the wrong shape.
   * @throws {RangeError} If a number is out of range.
   * @throws {ModuleImportError} If a process can't import the classes.
   * @throws {Deno.errors.AddrInUse} If another socket has the address.
   */
  constructor(
    address: UnixAddress,
    RequestHandlerClass: RequestHandlerClass<Deno.UnixConn, C>,
    ...options: OptionsArgument<
      C,
      UnixStreamServerOptions<C> & ReplicaOptions<C>
    >
  ) {
    super(address, RequestHandlerClass, options[0] as never);
  }
}

/** Replaces its processes while it serves. */
export interface ForkingUnixStreamServer<C = unknown> extends ReplicaServer {}

/**
 * Serves packets on a Unix socket in child processes, each with its own event
 * loop. Needs the permissions of {@linkcode UnixDatagramServer}, `--allow-run`,
 * and `--allow-read` and `--allow-write` for the temporary directory.
 *
 * The server receives the requests and relays each to the process with the fewest open requests.
 *
 * @example Usage
 * ```ts
 * import { EchoHandler, ForkingUnixDatagramServer } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * const server = new ForkingUnixDatagramServer({ path: `${dir}/s` }, EchoHandler);
 * server.serveForever();
 * const client = Deno.listenDatagram({
 *   transport: "unixpacket",
 *   path: `${dir}/c`,
 * });
 * await client.send(new Uint8Array([1, 2]), server.serverAddress);
 * const [reply] = await client.receive();
 * assertEquals(reply, new Uint8Array([1, 2]));
 *
 * client.close();
 * await server.serverClose();
 * await Deno.remove(dir, { recursive: true });
 * ```
 *
 * @typeParam C The type of `context`.
 */
export class ForkingUnixDatagramServer<C = unknown>
  extends UnixDatagramServer<C> {
  static {
    addReplicas(this, "process", import.meta.url);
  }

  /**
   * Constructs a server and binds its address. The child processes start when
   * it begins to serve.
   *
   * @param address The path.
   * @param RequestHandlerClass The class of the handlers.
   * @param options The module, the number of child processes and the limits.
   * @throws {TypeError} If an argument has the wrong shape.
   * @throws {RangeError} If a number is out of range.
   * @throws {ModuleImportError} If a process can't import the classes.
   * @throws {Deno.errors.AddrInUse} If another socket has the address.
   */
  constructor(
    address: UnixAddress,
    RequestHandlerClass: RequestHandlerClass<DatagramRequest, C>,
    ...options: OptionsArgument<
      C,
      UnixDatagramServerOptions<C> & ReplicaOptions<C>
    >
  ) {
    super(address, RequestHandlerClass, options[0] as never);
  }
}

/** Replaces its processes while it serves. */
export interface ForkingUnixDatagramServer<C = unknown> extends ReplicaServer {}
