/** What the server of the mixed soak does for its clients, good and bad. */

import { RequestHandler } from "../../mod.ts";

/** How long a replica that is stuck answers nothing, not even a ping. */
const STUCK_MS = 3_000;

/** The byte at a place of a blob. */
export function byteAt(offset: number): number {
  return offset * 7 & 255;
}

/** Obeys lines, each a word and its argument. */
export abstract class Obedient extends RequestHandler {
  abstract readonly version: number;

  override async handle(): Promise<void> {
    for await (const line of this.rfile) {
      const [word, argument = ""] = line.split(" ");
      await this.#obey(word!, argument);
    }
  }

  async #obey(word: string, argument: string): Promise<void> {
    switch (word) {
      case "say":
        return void await this.wfile.write(`${argument}\n`);
      case "version":
        return void await this.wfile.write(`${this.version}\n`);
      case "blob":
        return await this.#sendBlob(Number(argument));
      case "put":
        return await this.#takeBlob(Number(argument));
      case "throw":
        throw new Error("as the client said");
      case "die":
        return die();
      case "stick":
        Atomics.wait(
          new Int32Array(new SharedArrayBuffer(4)),
          0,
          0,
          STUCK_MS,
        );
    }
  }

  async #sendBlob(size: number): Promise<void> {
    const chunk = new Uint8Array(8_192);
    for (let sent = 0; sent < size; sent += chunk.length) {
      for (let i = 0; i < chunk.length; i++) chunk[i] = byteAt(sent + i);
      await this.wfile.write(chunk.slice(0, size - sent));
    }
  }

  async #takeBlob(size: number): Promise<void> {
    const bytes = await this.rfile.readExact(size);
    const isRight = bytes.every((byte, i) => byte === byteAt(i));
    await this.wfile.write(`${isRight ? "right" : "wrong"} ${size}\n`);
  }
}

function die(): void {
  if ("WorkerGlobalScope" in globalThis) Deno.exit(1);
  Deno.kill(Deno.pid, "SIGKILL");
}
