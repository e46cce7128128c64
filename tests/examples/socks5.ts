/** A SOCKS5 proxy. `curl --socks5-hostname 127.0.0.1:1080 http://…` */

import {
  type BufferedReader,
  StreamRequestHandler,
  TCPServer,
} from "@socketserver/socketserver";

const OK = 0;
const REFUSED = 5;

export class SocksHandler extends StreamRequestHandler {
  override async handle() {
    const [, methods = 0] = await this.rfile.readExact(2);
    this.beginRequest(); // the tunnel is one, whoever speaks in it
    await this.rfile.readExact(methods);
    await this.wfile.write(new Uint8Array([5, 0])); // no login
    const [, command, , kind] = await this.rfile.readExact(4);
    const hostname = await readHost(this.rfile, kind!);
    const [high = 0, low = 0] = await this.rfile.readExact(2);
    if (command !== 1) return await this.#reply(7);
    let target: Deno.Conn;
    try {
      target = await Deno.connect({ hostname, port: high << 8 | low });
    } catch {
      return await this.#reply(REFUSED);
    }
    using _target = target;
    await this.#reply(OK);
    await Promise.all([this.#upload(target), this.#download(target)]);
  }

  async #upload(target: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(16_384);
    for (let n; (n = await this.rfile.read(buffer)) !== null;) {
      for (let at = 0; at < n;) {
        at += await target.write(buffer.subarray(at, n));
      }
    }
    await target.closeWrite();
  }

  async #download(target: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(16_384);
    for (let n; (n = await target.read(buffer)) !== null;) {
      await this.wfile.write(buffer.slice(0, n));
      await this.wfile.flush();
    }
    await this.request.closeWrite();
  }

  async #reply(code: number): Promise<void> {
    await this.wfile.write(new Uint8Array([5, code, 0, 1, 0, 0, 0, 0, 0, 0]));
    await this.wfile.flush();
  }
}

async function readHost(rfile: BufferedReader, kind: number): Promise<string> {
  if (kind === 1) return (await rfile.readExact(4)).join(".");
  const [size = 0] = await rfile.readExact(1);
  return new TextDecoder().decode(await rfile.readExact(size));
}

if (import.meta.main) {
  const server = new TCPServer({ port: 1080 }, SocksHandler);
  await server.serveForever({ signals: ["SIGINT"] });
  await server.serverClose();
}
