/** An echo server that runs out of descriptors, and says so. */
// deno-lint-ignore-file no-console

import { EchoHandler, TCPServer } from "../../mod.ts";

class CrowdedServer extends TCPServer {
  override handleError(error: unknown): void {
    console.log(`error ${(error as { code?: string }).code}`);
  }
}

const server = new CrowdedServer({ port: 0 }, EchoHandler);
console.log(server.serverAddress.port);
await server.serveForever({ signals: ["SIGTERM"] });
await server.serverClose();
console.log(JSON.stringify(await server.stats()));
