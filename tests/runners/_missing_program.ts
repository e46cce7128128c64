/** A server whose replicas can't be loaded: an import map leads to nothing. */
// deno-lint-ignore-file no-console

import { EchoHandler, ThreadingTCPServer } from "../../mod.ts";

function show(what: string): (error: unknown) => void {
  return (error) => {
    const { message } = error as Error;
    console.log(what, message.includes("missing.ts") ? "not found" : message);
  };
}

const server = new ThreadingTCPServer({ port: 0 }, EchoHandler, {
  dispatch: "relay",
});
server.handleError = show("request");
server.ready.catch(show("ready"));
using client = await Deno.connect(server.serverAddress);
await server.serveForever().catch(show("serveForever"));
await server.serverClose();
console.log("answer", await client.read(new Uint8Array(1)));
