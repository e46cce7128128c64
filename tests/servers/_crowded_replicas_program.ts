/**
 * An echo server with replicas that run out of descriptors, and no handleError()
 * of its own: `CLASS DISPATCH`.
 */
// deno-lint-ignore-file no-console

import {
  type Dispatch,
  EchoHandler,
  ForkingTCPServer,
  ThreadingTCPServer,
} from "../../mod.ts";

const [name, dispatch] = Deno.args as [string, Dispatch];
const Server = name === "ForkingTCPServer"
  ? ForkingTCPServer
  : ThreadingTCPServer;
const server = new Server({ port: 0 }, EchoHandler, { dispatch, workers: 2 });
const serving = server.serveForever({ signals: ["SIGTERM"] });
await server.ready;
// Opening a listener of its own takes a replica a descriptor
const settled = dispatch === "shard" ? "serving" : "ready";
for (;;) {
  const { replicas = [] } = await server.stats();
  if (replicas.filter(({ state }) => state === settled).length === 2) break;
  await new Promise((resolve) => setTimeout(resolve, 10));
}
console.log(server.serverAddress.port);
await serving;
await server.serverClose();
const { accepted, errors } = await server.stats();
console.log(`${accepted} ${errors}`);
