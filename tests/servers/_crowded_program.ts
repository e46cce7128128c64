/**
 * A server that runs out of descriptors and has no handleError() of its own.
 * Its permissions are those it is started with; a line "fail" makes a handler
 * throw.
 */
// deno-lint-ignore-file no-console

import { StreamRequestHandler, TCPServer } from "../../mod.ts";

class Failing extends StreamRequestHandler {
  override async handle(): Promise<void> {
    for await (const line of this.rfile) {
      if (line === "fail") throw new RangeError("from the handler");
      await this.wfile.write(`${line}\n`);
      await this.wfile.flush();
    }
  }
}

const server = new TCPServer({ port: 0 }, Failing);
console.log(server.serverAddress.port);
await server.serveForever({ signals: ["SIGTERM"] });
await server.serverClose();
console.log(JSON.stringify(await server.stats()));
