/** A service that computes, on every core. `echo 1000003 | nc 127.0.0.1 7001` */

import {
  StreamRequestHandler,
  ThreadingTCPServer,
} from "@socketserver/socketserver";

export class PrimeHandler extends StreamRequestHandler {
  override async handle() {
    for await (const line of this.rfile) {
      await this.wfile.write(`${smallestFactor(Number(line))}\n`);
    }
  }
}

function smallestFactor(n: number): number {
  for (let i = 2; i * i <= n; i++) if (n % i === 0) return i;
  return n;
}

if (import.meta.main) {
  const module = import.meta.url;
  const server = new ThreadingTCPServer({ port: 7001 }, PrimeHandler, {
    module,
  });
  await server.serveForever({ signals: ["SIGINT"] });
  await server.serverClose();
}
