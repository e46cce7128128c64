/** Handlers for servers with replicas, which import them from here. */

import { BaseRequestHandler, EchoHandler } from "../../handlers/mod.ts";

/** Echoes, and lets the error of a deadline be the server's to tell. */
export class RawEcho extends BaseRequestHandler<Deno.Conn> {
  static readonly module: string = import.meta.url;

  override async handle(): Promise<void> {
    const buffer = new Uint8Array(100);
    for (let n; (n = await this.request.read(buffer)) !== null;) {
      await this.request.write(buffer.subarray(0, n));
    }
  }
}

/** Echoes packets. */
export class PacketEcho extends EchoHandler {
  static readonly module: string = import.meta.url;
}
