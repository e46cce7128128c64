/** An inetd-style service: `sort` for each connection. `printf 'b\na\n' | nc -N 127.0.0.1 7003` */

import { CommandRequestHandler, TCPServer } from "@socketserver/socketserver";

export class SortHandler extends CommandRequestHandler {
  override command = "sort";
}

if (import.meta.main) {
  const server = new TCPServer({ port: 7003 }, SortHandler);
  await server.serveForever({ signals: ["SIGINT"] });
  await server.serverClose();
}
