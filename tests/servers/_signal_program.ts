/**
 * A server that drains on SIGTERM and then stays, to be ended by a second. With
 * "echo" a second comes by itself in a moment.
 */
// deno-lint-ignore-file no-console

import { StreamRequestHandler, TCPServer } from "../../mod.ts";

class TwoLines extends StreamRequestHandler {
  override async handle(): Promise<void> {
    const first = await this.rfile.readLine();
    console.log("handling");
    const [second] = new TextDecoder().decode(await this.rfile.readExact(3))
      .split("\n");
    await this.wfile.write(`${first} ${second}\n`);
  }
}

function echo(): void {
  Deno.removeSignalListener("SIGTERM", echo);
  setTimeout(() => {
    Deno.kill(Deno.pid, "SIGTERM");
    setTimeout(() => console.log("survived"), 20);
  }, 20);
}

if (Deno.args[0] === "echo") Deno.addSignalListener("SIGTERM", echo);
const server = new TCPServer({ port: 0 }, TwoLines);
console.log(`serving ${server.serverAddress.port}`);
await server.serveForever({ signals: ["SIGTERM"] });
console.log("served");
console.log(JSON.stringify(await server.serverClose()));
setInterval(() => {}, 1_000);
