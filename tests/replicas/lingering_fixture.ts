/** A module that one replica loads; the others wait for the end of a file. */

import { RequestHandler } from "../../handlers/mod.ts";

const path = Deno.env.get("SERVERS_TEST_FIRST");

if (path !== undefined && !("servesTests" in globalThis)) {
  try {
    Deno.writeTextFileSync(path, "", { createNew: true });
  } catch {
    while (await Deno.stat(path).catch(() => null) !== null) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

/** Echoes lines. */
export class Lingering extends RequestHandler {
  static readonly module = import.meta.url;
  override async handle(): Promise<void> {
    for await (const line of this.rfile) await this.wfile.write(`${line}\n`);
  }
}
