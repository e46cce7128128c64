/** A store that speaks Redis' protocol. `redis-cli -p 6380 set greeting hello` */

import { StreamRequestHandler, TCPServer } from "@socketserver/socketserver";

const decoder = new TextDecoder();
const values = new Map<string, Uint8Array>();

export class RedisHandler extends StreamRequestHandler {
  override async handle() {
    for (let args; (args = await this.#readCommand()) !== null;) {
      await this.#answer(args.map((bytes) => decoder.decode(bytes)), args);
    }
  }

  async #readCommand(): Promise<Uint8Array[] | null> {
    const header = await this.rfile.readLine();
    if (header === null) return null;
    if (!header.startsWith("*")) throw new SyntaxError("Expected an array");
    const args = [];
    for (let left = Number(header.slice(1)); left > 0; left--) {
      const size = Number((await this.rfile.readLine())?.slice(1));
      if (!(size <= 1_000_000)) throw new RangeError("Value too long");
      args.push((await this.rfile.readExact(size + 2)).subarray(0, size));
    }
    return args;
  }

  async #answer(words: string[], args: Uint8Array[]): Promise<void> {
    const [command = "", key = ""] = words;
    switch (command.toUpperCase()) {
      case "PING":
        return void await this.wfile.write("+PONG\r\n");
      case "SET":
        values.set(key, args[2]!);
        return void await this.wfile.write("+OK\r\n");
      case "GET": {
        const value = values.get(key);
        if (value === undefined) {
          return void await this.wfile.write("$-1\r\n");
        }
        await this.wfile.write(`$${value.length}\r\n`);
        await this.wfile.write(value);
        return void await this.wfile.write("\r\n");
      }
    }
    await this.wfile.write(`-ERR unknown command '${command}'\r\n`);
  }
}

if (import.meta.main) {
  const server = new TCPServer({ port: 6380 }, RedisHandler);
  await server.serveForever({ signals: ["SIGINT"] });
  await server.serverClose();
}
