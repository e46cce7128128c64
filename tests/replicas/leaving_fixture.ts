/** A handler whose request outlasts a signal to its process. */

import { StreamRequestHandler } from "../../handlers/mod.ts";

/** Tells its process, and is done when the client has said something. */
export class Telling extends StreamRequestHandler {
  static readonly module = import.meta.url;
  override async handle(): Promise<void> {
    await this.wfile.write(`${Deno.pid}\n`);
    await this.request.read(new Uint8Array(10));
    await this.wfile.write("done\n");
  }
}
