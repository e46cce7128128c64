/** A server whose requests are traced; ends after one. */

import { EchoHandler, TCPServer, traceRequests } from "../../mod.ts";

const server = new TCPServer({ port: 0 }, EchoHandler);
using _trace = traceRequests(server);
const { promise, resolve } = Promise.withResolvers<void>();
server.on("requestEnd", () => resolve());
server.serveForever();
const client = await Deno.connect(server.serverAddress);
await client.write(new Uint8Array(5));
client.close();
await promise;
await server.serverClose();
