/** A TLS service on every core. `curl --cacert ca.pem https://localhost:8443/name` */

import { ThreadingTCPServer } from "@socketserver/socketserver";
import { HttpHandler } from "./http.ts";

export async function open(
  port: number,
  folder: string,
): Promise<ThreadingTCPServer> {
  return new ThreadingTCPServer({ port }, HttpHandler, {
    module: import.meta.resolve("./http.ts"),
    cert: await Deno.readTextFile(`${folder}/cert.pem`),
    key: await Deno.readTextFile(`${folder}/key.pem`),
    handshakeTimeout: 3_000,
    maxConnectionsPerClient: 100,
  });
}

if (import.meta.main) {
  const server = await open(8443, Deno.args[0] ?? ".");
  await server.serveForever({ signals: ["SIGINT"] });
  await server.serverClose();
}
