/** A server whose replicas are in the same isolate. */

import {
  type ReplicaOptions,
  type RequestHandlerClass,
  type TcpAddress,
  TCPServer,
} from "../../mod.ts";
import {
  constructed,
  type LocalRunner,
  prepare,
  prepareLocally,
  role,
} from "./_local_runner.ts";

/** The runners that were started, of all local servers of this test. */
export const started: LocalRunner[] = [];

/** Serves connections by replicas in this isolate. */
export class LocalServer extends TCPServer {
  static readonly module = import.meta.url;

  constructor(
    address: TcpAddress,
    handler: RequestHandlerClass<Deno.TcpConn>,
    options: ReplicaOptions = {},
  ) {
    super(address, handler, options);
    constructed.push(this as never);
  }

  async reload(): Promise<void> {
    await this[role].reload();
  }

  override [prepare](): void {
    prepareLocally(this as never, started);
  }
}

/** The same with replicas that count as processes. */
export class LocalForking extends LocalServer {
  static override readonly module = import.meta.url;

  override [prepare](): void {
    prepareLocally(this as never, started, "process");
  }
}
