/**
 * The server of a handler that has none.
 *
 * @module
 */

import type {
  RequestServer,
  ServerStats,
} from "../../handlers/request_types.ts";
import { Histogram } from "../../workers/base/histogram.ts";
import { Counts } from "../core/faults.ts";

/** A server with an address and a context only. */
export class LocalServer<C> implements RequestServer<C> {
  readonly serverAddress: Deno.Addr;
  readonly context: C;

  constructor(serverAddress: Deno.Addr, context: C) {
    this.serverAddress = serverAddress;
    this.context = context;
  }

  stats(): Promise<ServerStats> {
    const none = new Histogram().distribution();
    return Promise.resolve({
      ...new Counts(),
      open: 0,
      dropped: 0,
      duration: none,
      bytesRead: none,
      bytesWritten: none,
    });
  }

  shutdown(): Promise<void> {
    return Promise.resolve();
  }
}
