/** Handlers that replicas import: one module for every mode. */

import {
  BaseRequestHandler,
  RequestHandler,
  type RequestServer,
  StreamRequestHandler,
} from "../../mod.ts";

/** What this module exports is found here. */
export const module = import.meta.url;

/** Echoes lines of a connection, or a packet of one. */
export class LineEcho extends RequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    for await (const line of this.rfile) await this.wfile.write(`${line}\n`);
  }
}

/** Fails. */
export class Failing extends RequestHandler {
  static readonly module = module;
  override handle(): void {
    throw new RangeError("from the handler");
  }
}

/** Says "begun", then waits for the line "go" however long, and says "done". */
export class Patient extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    await this.wfile.write("begun\n");
    // Not by rfile, which ends when the server drains
    const buffer = new Uint8Array(10);
    while (await this.request.read(buffer) === null);
    await this.wfile.write("done\n");
  }
}

/** Greets at once, as a server that speaks first. */
export class Greeter extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    await this.wfile.write("hello\n");
  }
}

/** Ends its replica in the way that the client names. */
export class Deadly extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    await this.wfile.write(`${Deno.pid}\n`);
    const how = await this.rfile.readLine();
    if (how === "exit") Deno.exit(3);
    if (how === "close") self.close();
    if (how === "throw") {
      setTimeout(() => {
        throw new Error("from a timer");
      }, 0);
    }
    if (how === "kill") Deno.kill(Deno.pid, "SIGKILL");
    if (how === "loop") { for (;;); }
    if (how === "echo") {
      return await this.wfile.write("alive\n").then(() => {});
    }
    // Not by rfile, which ends when the server drains
    while (await this.request.read(new Uint8Array(10)) !== null);
  }
}
