/**
 * A service behind HAProxy, which tells it its clients and looks after its
 * health; SIGHUP loads its code anew. `haproxy -f haproxy.cfg` with
 *
 * ```text
 * backend service
 *   mode tcp
 *   option redispatch 1
 *   option tcp-check
 *   tcp-check send ping\n
 *   tcp-check expect string pong
 *   server a 10.0.0.1:9001 send-proxy-v2 check
 *   server b 10.0.0.2:9001 send-proxy-v2 check
 * ```
 */

// deno-lint-ignore-file no-console
import {
  formatAddress,
  StreamRequestHandler,
  ThreadingTCPServer,
} from "@socketserver/socketserver";

/** Each thread has one of its own. */
const THREAD = crypto.randomUUID();

export class WhoHandler extends StreamRequestHandler<string> {
  override async handle() {
    const line = await this.rfile.readLine();
    if (line === "ping") return void await this.wfile.write("pong\n");
    await new Promise((resolve) => setTimeout(resolve, 5)); // some work
    const client = formatAddress(this.clientAddress);
    const { context: name } = this.server;
    await this.wfile.write(`${name} ${THREAD} ${client} ${line}\n`);
  }
}

if (import.meta.main) {
  const [name = "a", port = "9001", proxy = "127.0.0.1"] = Deno.args;
  const server = new ThreadingTCPServer({ port: Number(port) }, WhoHandler, {
    module: import.meta.url,
    workers: 2,
    context: name,
    proxyProtocol: "require",
    trustedProxies: [proxy],
  });
  Deno.addSignalListener("SIGHUP", async () => {
    await server.reload();
    console.log("reloaded");
  });
  server.ready.then(() => console.log(server.serverAddress.port));
  await server.serveForever({ signals: ["SIGTERM"] });
  await server.serverClose();
}
