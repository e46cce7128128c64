/** A handler that tries what handlers can't do. */

import { StreamRequestHandler } from "../../handlers/mod.ts";
import { ForkingTCPServer } from "../../server/replica_servers.ts";
import { loopForEver } from "../support/endless.ts";

const module = import.meta.url;

/** Sends its parent the greatest lie at its next message. */
function forge(): void {
  const { subarray, slice } = Uint8Array.prototype;
  const forged = new Uint8Array([0, 5, 0, 0, 0, 8, 255, 255, 255, 255]);
  const isOutgoing = (bytes: Uint8Array) => bytes.length >= 131_072;
  Uint8Array.prototype.subarray = function (...args) {
    return isOutgoing(this) ? forged : Reflect.apply(subarray, this, args);
  };
  Uint8Array.prototype.slice = function (...args) {
    return isOutgoing(this) ? forged : Reflect.apply(slice, this, args);
  };
}

async function nameOf(attempt: () => unknown): Promise<string> {
  try {
    await attempt();
    return "allowed";
  } catch (error) {
    return (error as Error).name;
  }
}

/** Does what the client says. */
export class Mischief extends StreamRequestHandler {
  static readonly module = module;

  override async handle(): Promise<void> {
    for await (const line of this.rfile) {
      if (line === "throw") throw new Error("as told");
      if (line === "exit") Deno.exit(7);
      if (line === "loop") loopForEver();
      if (line === "forge") {
        forge();
        void this.server.stats().catch(() => {});
      } else if (line === "flood") {
        const part = "x".repeat(65_536);
        while (!this.signal.aborted) await this.wfile.write(part);
      } else if (line === "reach out") {
        const names = [
          await nameOf(() => Deno.readTextFile("/etc/hosts")),
          await nameOf(() => Deno.connect({ port: 1 })),
          await nameOf(() => new Deno.Command("true").output()),
        ];
        await this.wfile.write(`${names}\n`);
      } else if (line === "take over") {
        Deno.addSignalListener("SIGTERM", () => {});
        const input = await Deno.stdin.read(new Uint8Array(9));
        const { locks } = navigator as unknown as {
          locks: { query(): Promise<{ held: unknown[] }> };
        };
        const { held } = await locks.query();
        await this.wfile.write(`${input} ${held.length}\n`);
      } else await this.wfile.write(`${line}\n`);
    }
  }
}

/** Prints nothing in its replicas. */
export class Quiet extends ForkingTCPServer {
  static readonly module = module;
  override handleError(_error: unknown): void {}
}
