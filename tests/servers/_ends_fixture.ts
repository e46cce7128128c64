/** Handlers that tell of themselves; replicas import them. */

import {
  RequestHandler,
  RequestTimeoutError,
  StreamRequestHandler,
} from "../../handlers/mod.ts";

/** Answers with the ends of the connection, and then with what comes. */
export class Ends extends StreamRequestHandler {
  static readonly module = import.meta.url;
  override async handle(): Promise<void> {
    const { remoteAddr, localAddr } = this.request;
    const ends = [this.clientAddress, remoteAddr, localAddr].map((end) =>
      "hostname" in end ? `${end.hostname}:${end.port}` : "unix"
    );
    const told = this.proxyInfo && ` ${JSON.stringify(this.proxyInfo)}`;
    await this.wfile.write(`${ends.join(" ")}${told ?? ""}\n`);
    for await (const line of this.rfile) await this.wfile.write(`${line}\n`);
  }
}

/** Echoes lines, and does what some say. */
export class Telling extends RequestHandler {
  static readonly module = import.meta.url;
  override async handle(): Promise<void> {
    for await (const line of this.rfile) {
      if (line === "fail") throw new RequestTimeoutError("as told", 1);
      if (line === "fail much") {
        const cause = new Map([["x".repeat(100_000), 1]]);
        throw new Error("as told", { cause });
      }
      if (line === "exit") Deno.exit(3);
      const end = performance.now() + 3_000;
      while (line === "block" && performance.now() < end);
      await this.wfile.write(`${line}\n`);
    }
  }
}
