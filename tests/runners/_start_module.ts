/** Notes which of the globals that load a part of node are looked at. */

import {
  EchoHandler,
  StreamRequestHandler,
  TCPServer,
  ThreadingTCPServer,
} from "../../mod.ts";

const GLOBALS = [
  "Buffer",
  "clearInterval",
  "clearTimeout",
  "process",
  "setImmediate",
  "setInterval",
  "setTimeout",
];
const seen: string[] = [];

// Imported by threads and processes alone
for (const name of GLOBALS) {
  const { get } = Object.getOwnPropertyDescriptor(globalThis, name)!;
  Object.defineProperty(globalThis, name, {
    get() {
      seen.push(name);
      return get!.call(globalThis);
    },
  });
}

export function looked(): string[] {
  return seen;
}

export async function constructServers(): Promise<string[]> {
  const servers = [
    new TCPServer({ port: 0 }, EchoHandler),
    new ThreadingTCPServer({ port: 0 }, EchoHandler),
  ];
  const looked = [...seen];
  for (const server of servers) await server.serverClose();
  return looked;
}

/** Answers what was looked at so far. */
export class LookedHandler extends StreamRequestHandler {
  static readonly module = import.meta.url;

  override async handle(): Promise<void> {
    await this.rfile.readLine();
    await this.wfile.write(`${seen}\n`);
  }
}

export async function askReplica(): Promise<string> {
  await using server = new ThreadingTCPServer({ port: 0 }, LookedHandler, {
    dispatch: "isolate",
    workers: 1,
  });
  void server.serveForever();
  const client = await Deno.connect(server.serverAddress);
  await client.write(new TextEncoder().encode("\n"));
  return await new Response(client.readable).text();
}

async function pass(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) {
    await new Promise((resolve) => setTimeout(resolve));
  }
}

/** Ends a server some turns after it has begun to load what replicas need; the number of those left. */
export async function endWhileLoading(
  turns: number,
  ends: "serverClose" | "shutdown",
): Promise<number | undefined> {
  const server = new ThreadingTCPServer({ port: 0 }, EchoHandler, {
    workers: 1,
  });
  server.ready.catch(() => {});
  const { promise: begun, resolve: ref } = Promise.withResolvers<void>();
  Object.assign(server.acceptor!, { ref });
  const serving = server.serveForever();
  await begun;
  await pass(turns);
  await server[ends]();
  await serving;
  await server.serverClose();
  await import("../../server/replicas/replica.ts");
  await pass(1);
  return (await server.stats()).workers;
}
