/**
 * A Unix datagram server with a client that never reads, in a program of its
 * own: a large reply to such a client can't be cancelled, and ends with its
 * program. Runs one case, and prints what it came to.
 */
// deno-lint-ignore-file no-console

import { EchoHandler, RequestHandler, UnixDatagramServer } from "../../mod.ts";
import { pause, until, within } from "../support/waiting.ts";

const [name, dir] = Deno.args;
const encoder = new TextEncoder();
const path = `${dir}/server`;
const address: Deno.UnixAddr = { transport: "unixpacket", path };
const errors: string[] = [];
const times: number[] = [];
let socketCount = 0;
let sent = 0;

class Gated extends RequestHandler<Promise<void>> {
  override async handle(): Promise<void> {
    await this.server.context;
    await this.wfile.write(await this.rfile.readLine() ?? "");
  }
}

class Late extends RequestHandler<{ wait: number }> {
  override async handle(): Promise<void> {
    const text = await this.rfile.readLine() ?? "";
    const { wait } = this.server.context;
    if (wait > 0) await pause(wait);
    await this.wfile.write(text);
  }
}

function collectErrors(server: Pick<UnixDatagramServer, "handleError">): void {
  server.handleError = (error) => {
    errors.push((error as Error).name);
    times.push(performance.now());
  };
}

function open(): Deno.DatagramConn {
  const path = `${dir}/client_${++socketCount}`;
  return Deno.listenDatagram({ transport: "unixpacket", path });
}

async function flood(
  socket: Deno.DatagramConn,
  count: number,
  packet = encoder.encode("unread"),
): Promise<void> {
  while (sent < count) {
    await socket.send(packet, address);
    sent++;
  }
}

/** Whether a new client is answered, within `ms`. */
async function isAnswered(ms?: number): Promise<boolean> {
  const socket = open();
  await socket.send(encoder.encode("hello"), address).catch(() => {});
  const reply = socket.receive(new Uint8Array(100)).then(() => true);
  const answered = await within("a reply", reply, ms).catch(() => false);
  socket.close();
  await reply.catch(() => {});
  return answered;
}

const cases: Record<string, () => Promise<unknown>> = {
  async waitSideBySide() {
    const { promise, resolve } = Promise.withResolvers<void>();
    const server = new UnixDatagramServer({ path }, Gated, {
      context: promise,
    });
    collectErrors(server);
    server.serveForever();
    await flood(open(), 30);
    await until(async () => (await server.stats()).open === 30, "30 requests");
    const begin = performance.now();
    resolve();
    await until(async () => (await server.stats()).open === 0, "their end");
    const first = times[0]! - begin;
    const all = times.at(-1)! - begin;
    return { errors, first, all, answered: await isAnswered() };
  },

  async holdUpNobody() {
    const context = { wait: 0 };
    const server = new UnixDatagramServer({ path }, Late, { context });
    collectErrors(server);
    server.serveForever();
    const flooded = flood(open(), 16).catch(() => {});
    await until(() => sent >= 11, "a full queue");
    const queued = await isAnswered();
    await flooded;
    // Late replies still wake the receive
    context.wait = 30;
    const late = [await isAnswered(), await isAnswered()];
    return { errors, late, queued };
  },

  async fillTheMemory() {
    const server = new UnixDatagramServer({ path }, EchoHandler);
    collectErrors(server);
    Deno.chmodSync(path, 0o640);
    server.serveForever();
    const flooded = flood(open(), 16, new Uint8Array(20_000)).catch(() => {});
    await until(() => errors.length > 0, "an unread reply");
    // What lies in a socket that is given up is lost
    while (!await isAnswered(300));
    await flooded;
    const mode = Deno.statSync(path).mode! & 0o777;
    return { errors, mode };
  },

  async close() {
    const server = new UnixDatagramServer({ path }, EchoHandler, {
      shutdownTimeout: 100,
    });
    collectErrors(server);
    const served = server.serveForever();
    await flood(open(), 13);
    await until(async () => (await server.stats()).open > 0, "a full queue");
    await server.serverClose();
    await served;
    return "closed";
  },
};

console.log(JSON.stringify(await cases[name!]!()));
// After a close, nothing must keep the program
if (name !== "close") Deno.exit();
