/** An echo server of the class that the first argument names; prints its port. */
// deno-lint-ignore-file no-console

import * as module from "../../mod.ts";

const [name = "TCPServer", dispatch] = Deno.args;
const Server = Reflect.get(module, name) as typeof module.ThreadingTCPServer;
const options = dispatch === undefined ? {} : { workers: 2, dispatch };
const server = new Server(
  { port: 0 },
  module.EchoHandler,
  options as module.ReplicaOptions,
);
const serving = server.serveForever({ signals: ["SIGTERM"] });
await server.ready;
console.log(server.serverAddress.port);
await serving;
await server.serverClose();
