/**
 * The servers of this package: `ours.ts KIND PORT`, or `unix PATH`.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import {
  BaseRequestHandler,
  DatagramRequestHandler,
  EchoHandler,
  StreamRequestHandler,
  TCPServer,
  UDPServer,
  UnixStreamServer,
} from "../../mod.ts";
import { answer, RedisHandler } from "../examples/redis_store.ts";

class OwnLoop extends BaseRequestHandler<Deno.Conn> {
  override async handle(): Promise<void> {
    const buffer = new Uint8Array(65_536);
    for (let n; (n = await this.request.read(buffer)) !== null;) {
      for (let sent = 0; sent < n;) {
        sent += await this.request.write(buffer.subarray(sent, n));
      }
    }
  }
}

class Lines extends StreamRequestHandler {
  override async handle(): Promise<void> {
    for (let line; (line = await this.rfile.readLine()) !== null;) {
      await this.wfile.write(`${line}\n`);
    }
  }
}

/** The store of the examples without `tryReadLine()`. */
class PlainRedisHandler extends StreamRequestHandler {
  override async handle(): Promise<void> {
    const { rfile, wfile } = this;
    for (let header; (header = await rfile.readLine()) !== null;) {
      const words: string[] = [];
      let last = "";
      for (let left = Number(header.slice(1)); left > 0; left--) {
        const size = (await rfile.readLine())!;
        const text = await rfile.readText(Number(size.slice(1)) + 2);
        words.push(text.slice(0, -2));
        last = `${size}\r\n${text}`;
      }
      await wfile.write(answer(words, last));
    }
  }
}

class WrittenReply extends DatagramRequestHandler {
  override async handle(): Promise<void> {
    await this.wfile.write(this.packet);
  }
}

class OwnReply extends DatagramRequestHandler {
  override async handle(): Promise<void> {
    await this.socket.send(this.packet, this.clientAddress);
  }
}

function makeServer(
  kind: string,
  at: string,
): TCPServer | UDPServer | UnixStreamServer {
  const address = { port: Number(at) };
  switch (kind) {
    case "echo":
      return new TCPServer(address, EchoHandler);
    case "own":
      return new TCPServer(address, OwnLoop);
    case "lines":
      return new TCPServer(address, Lines);
    case "redis":
      return new TCPServer(address, PlainRedisHandler);
    case "redis-try":
      return new TCPServer(address, RedisHandler);
    case "udp":
      return new UDPServer(address, EchoHandler);
    case "udp-wfile":
      return new UDPServer(address, WrittenReply);
    case "udp-own":
      return new UDPServer(address, OwnReply);
    case "unix":
      return new UnixStreamServer({ path: at }, EchoHandler);
    default:
      throw new TypeError(`Unknown kind "${kind}"`);
  }
}

const server = makeServer(Deno.args[0]!, Deno.args[1]!);
const serving = server.serveForever();
await server.ready;
console.log("ready");
await serving;
