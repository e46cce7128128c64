/**
 * An echo server that runs out of descriptors and has no handleError() of its own.
 * Its permissions are those it is started with; what begins with an
 * "f" makes its handler throw.
 */
// deno-lint-ignore-file no-console

import { RequestHandler, TCPServer } from "../../mod.ts";

const FAIL = "f".charCodeAt(0);

class Failing extends RequestHandler {
  override async handle(): Promise<void> {
    for (let chunk; (chunk = await this.rfile.read()) !== null;) {
      if (chunk[0] === FAIL) throw new RangeError("from the handler");
      await this.wfile.write(chunk);
    }
  }
}

const server = new TCPServer({ port: 0 }, Failing);
console.log(server.serverAddress.port);
await server.serveForever({ signals: ["SIGTERM"] });
await server.serverClose();
console.log(JSON.stringify(await server.stats()));
