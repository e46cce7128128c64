/**
 * The servers with replicas: `replicas.ts thread|process echo|work
 * shard|relay|isolate WORKERS PORT`.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import {
  BaseRequestHandler,
  type Dispatch,
  EchoHandler,
  ForkingTCPServer,
  ThreadingTCPServer,
} from "../../mod.ts";

const ROUNDS = 1_000_000;

/** Of whole numbers only: V8 runs others at one of two speeds, as it happens. */
function work(): number {
  let x = 1;
  for (let i = 0; i < ROUNDS; i++) x = Math.imul(x ^ i, 16_777_619);
  return x;
}

/** Computes for about a millisecond before it answers. */
export class Work extends BaseRequestHandler<Deno.Conn> {
  static readonly module = import.meta.url;

  override async handle(): Promise<void> {
    const buffer = new Uint8Array(65_536);
    for (let n; (n = await this.request.read(buffer)) !== null;) {
      buffer[0] = work() & 127;
      await this.request.write(buffer.subarray(0, n));
    }
  }
}

if (import.meta.main) {
  const [kind, handler, dispatch, workers, port] = Deno.args;
  const Server = kind === "thread" ? ThreadingTCPServer : ForkingTCPServer;
  const Handler = handler === "work" ? Work : EchoHandler;
  const server = new Server({ port: Number(port) }, Handler, {
    workers: Number(workers),
    dispatch: dispatch as Dispatch,
  });
  const serving = server.serveForever();
  await server.ready;
  const { dispatch: used } = await server.stats();
  if (used !== dispatch) throw new Error(`Serves by "${used}"`);
  // It leaves its port to processes a second later; the load comes all at once
  for (
    let i = 0;
    i < 30 && used === "shard" && kind === "process" && server.socket !== null;
    i++
  ) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  console.log("ready");
  await serving;
}
