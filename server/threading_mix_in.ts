/**
 * Makes a server class handle its requests in threads.
 *
 * @module
 */

import {
  type ReplicaClass,
  type ServerClass,
  withReplicas,
} from "./replicas/replica_class.ts";

/**
 * Makes a server class handle its requests in threads.
 *
 * What it gives is to be extended by a class with a name that its module
 * exports, for the threads to import; hooks that are overridden there run
 * where a request is accepted.
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
  return withReplicas(Base, "thread");
}
