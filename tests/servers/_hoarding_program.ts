/** A server whose handler takes every descriptor, then throws. */
// deno-lint-ignore-file no-console

import { BaseRequestHandler, TCPServer } from "../../mod.ts";

const files: Deno.FsFile[] = [];

class Hoarder extends BaseRequestHandler<Deno.Conn> {
  override handle(): void {
    try {
      for (;;) files.push(Deno.openSync("/dev/null"));
    } catch {
      throw new RangeError("none left");
    }
  }
}

const server = new TCPServer({ port: 0 }, Hoarder);
console.log(server.serverAddress.port);
await server.serveForever({ signals: ["SIGTERM"] });
for (const file of files) file.close();
console.log(`errors ${(await server.stats()).errors}`);
await server.serverClose();
