/** The lesson's server: prints its clients and what they say, and echoes it. */
// deno-lint-ignore-file no-console

import {
  BaseRequestHandler,
  ThreadingTCPServer,
} from "@socketserver/socketserver";

export class Server extends BaseRequestHandler<Deno.TcpConn> {
  override async handle() {
    console.log(`New connection: ${this.clientAddress}`);
    const data = new Uint8Array(1_024);
    while (true) {
      const n = await this.request.read(data);
      if (n === null) break;
      const bytes = data.subarray(0, n);
      console.log(`Client data: ${new TextDecoder().decode(bytes)}`);
      await this.request.write(bytes);
    }
  }
}

if (import.meta.main) {
  const [hostname, port] = ["127.0.0.1", Number(Deno.args[0] ?? 8080)];
  const module = import.meta.url;
  const server = new ThreadingTCPServer({ hostname, port }, Server, { module });
  console.log(`Serving on ${server.serverAddress}`);
  await server.serveForever();
}
