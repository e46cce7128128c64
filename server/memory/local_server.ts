/**
 * The server of a handler that has none.
 *
 * @module
 */

import type {
  RequestServer,
  ServerStats,
} from "../../handlers/request_server.ts";
import { addStats } from "../core/counts.ts";

/** Knows an address and a context, and nothing of requests. */
export class LocalServer<C> implements RequestServer<C> {
  readonly serverAddress: Deno.Addr;
  readonly context: C;

  constructor(serverAddress: Deno.Addr, context: C) {
    this.serverAddress = serverAddress;
    this.context = context;
  }

  stats(): Promise<ServerStats> {
    return Promise.resolve(addStats([]));
  }

  shutdown(): Promise<void> {
    return Promise.resolve();
  }
}
