/** A handler that tells whom it talks to; replicas import it. */

import { StreamRequestHandler } from "../../mod.ts";

/** Answers with the ends of the connection, and then with what comes. */
export class Ends extends StreamRequestHandler {
  static readonly module = import.meta.url;
  override async handle(): Promise<void> {
    const { remoteAddr, localAddr } = this.request;
    const ends = [this.clientAddress, remoteAddr, localAddr].map((end) =>
      "hostname" in end ? `${end.hostname}:${end.port}` : "unix"
    );
    await this.wfile.write(`${ends.join(" ")}\n`);
    for await (const line of this.rfile) await this.wfile.write(`${line}\n`);
  }
}
