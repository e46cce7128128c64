/**
 * A service on every core, ready to run: under systemd with `service.service`, in
 * a container with `service.dockerfile`. It logs JSON on stdout, answers
 * /healthz, /readyz and /metrics on a port of its own, and at SIGTERM serves on
 * until the load balancer has noticed, then lets open requests finish.
 */
// deno-lint-ignore-file no-console

import {
  logEvents,
  type ServerEvents,
  StreamRequestHandler,
  ThreadingTCPServer,
  toPrometheus,
} from "@socketserver/socketserver";

export class UpperHandler extends StreamRequestHandler {
  override async handle() {
    for await (const line of this.rfile) {
      await this.wfile.write(`${line.toUpperCase()}\n`);
    }
  }
}

/** Without those of single requests, which cost a busy server time. */
const EVENTS: (keyof ServerEvents)[] = [
  "error",
  "refusal",
  "replicaExit",
  "replicaReplace",
  "replicaStall",
  "drainStart",
  "drainEnd",
];

if (import.meta.main) {
  const [port, adminPort] = Deno.args.map(Number);
  const hostname = "0.0.0.0";
  await using server = new ThreadingTCPServer(
    { hostname, port: port ?? 8080 },
    UpperHandler,
    {
      module: import.meta.url,
      idleTimeout: 60_000,
      maxConnectionsPerClient: 100,
      overLimit: "refuse",
      // With drainDelay less than Docker's 10 s, after which it kills
      shutdownTimeout: 5_000,
    },
  );
  using _log = logEvents(server, {
    format: "json",
    events: EVENTS,
    write: console.log,
  });
  let isReady = false;
  server.ready.then(() => isReady = true, () => {});
  await using _admin = Deno.serve(
    { hostname, port: adminPort ?? 9090, onListen: () => {} },
    async ({ url }) => {
      switch (new URL(url).pathname) {
        case "/healthz": // it answers: it is alive
          return new Response("ok\n");
        case "/readyz":
          return isReady && !server.isStopping
            ? new Response("ready\n")
            : new Response("not ready\n", { status: 503 });
        case "/metrics":
          return new Response(toPrometheus(await server.stats()), {
            headers: { "content-type": "text/plain; version=0.0.4" },
          });
        default:
          return new Response("not found\n", { status: 404 });
      }
    },
  );
  await server.serveForever({
    signals: ["SIGINT", "SIGTERM"],
    drainDelay: 2_000,
  });
  await server.serverClose(); // before the metrics end
}
