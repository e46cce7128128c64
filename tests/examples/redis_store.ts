/** A store of texts that speaks Redis' protocol. `redis-cli -p 6380 set greeting hello` */

import { StreamRequestHandler, TCPServer } from "@socketserver/socketserver";

/** The answers to GET, as SET has sent them. */
const values = new Map<string, string>();

export class RedisHandler extends StreamRequestHandler {
  override async handle() {
    try {
      for (let command; (command = await this.#readCommand()) !== null;) {
        await this.wfile.write(answer(...command));
      }
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      await this.wfile.write(`-ERR Protocol error: ${error.message}\r\n`);
    }
  }

  /** The words, and the last one as it came. Awaits only what has not come. */
  async #readCommand(): Promise<[words: string[], last: string] | null> {
    const { rfile } = this;
    const header = rfile.tryReadLine() ?? await rfile.readLine();
    if (header === null) return null;
    if (!header.startsWith("*")) return inline(header);
    const words: string[] = [];
    let last = "";
    for (let left = toCount(header, 1_024); left > 0; left--) {
      const size = rfile.tryReadLine() ?? await rfile.readLine();
      const count = toCount(size, 1_000_000) + 2;
      if (words.length === 1 && words[0]!.toUpperCase() === "ECHO") {
        // Random bytes from "redis-cli --pipe"
        await this.wfile.write(`${size}\r\n`);
        await this.wfile.write(await rfile.readExact(count));
        last = "";
        continue;
      }
      const text = rfile.tryReadText(count) ?? await rfile.readText(count);
      words.push(text.slice(0, -2));
      last = `${size}\r\n${text}`;
    }
    // Its replacement would not have the same number of bytes
    if (last.includes("\ufffd")) throw new SyntaxError("expected UTF-8");
    return [words, last];
  }
}

/** A command in one line, as a person types it. */
function inline(line: string): [words: string[], last: string] {
  const words = line.match(/\S+/g) ?? [];
  const last = words.at(-1) ?? "";
  const { length } = new TextEncoder().encode(last);
  return [words, `$${length}\r\n${last}\r\n`];
}

function toCount(line: string | null, most: number): number {
  const count = Number(line?.slice(1));
  if (count >= 0 && count <= most) return count;
  throw new SyntaxError("invalid length");
}

/** Carries out a command. */
export function answer([command, key = ""]: string[], last: string): string {
  switch (command?.toUpperCase()) {
    case undefined:
      return "";
    case "PING":
      return "+PONG\r\n";
    case "ECHO":
      return last;
    case "SET":
      values.set(key, last);
      return "+OK\r\n";
    case "GET":
      return values.get(key) ?? "$-1\r\n";
    default:
      return `-ERR unknown command '${command}'\r\n`;
  }
}

if (import.meta.main) {
  const server = new TCPServer({ port: 6380 }, RedisHandler);
  await server.serveForever({ signals: ["SIGINT"] });
  await server.serverClose();
}
