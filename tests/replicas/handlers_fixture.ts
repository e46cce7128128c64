/** Handlers that replicas import: one module for every mode. */

import { RequestHandler, StreamRequestHandler } from "../../handlers/mod.ts";
import type { Lock } from "../../mod.ts";
import { block, loopForEver } from "../support/endless.ts";

/** What this module exports is found here. */
export const module = import.meta.url;

/** Echoes lines of a connection, or a packet of one. */
export class LineEcho extends RequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    for await (const line of this.rfile) await this.wfile.write(`${line}\n`);
  }
}

/** Echoes lines; after "put N" it takes so many bytes, and says so. */
export class Taking extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    for await (const line of this.rfile) {
      const [word, size] = line.split(" ");
      if (word === "put") await this.rfile.readExact(Number(size));
      await this.wfile.write(`${line}\n`);
    }
  }
}

/** Computes for as many milliseconds as each line says, and echoes it. */
export class Computing extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    for await (const line of this.rfile) {
      block(Number(line));
      await this.wfile.write(`${line}\n`);
    }
  }
}

/** Says which protocol its TLS handshake has chosen. */
export class AlpnTeller extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    const conn = this.connection as Deno.TlsConn;
    const { alpnProtocol } = await conn.handshake();
    await this.wfile.write(`${alpnProtocol}`);
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
    this.beginRequest(); // else the client has 5 s when the server closes
    await this.wfile.write("begun\n");
    await this.request.read(new Uint8Array(10));
    await this.wfile.write("done\n");
  }
}

/** Says "begun", and never ends, whatever happens. */
export class Unending extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    await this.wfile.write("begun\n");
    await new Promise(() => {});
  }
}

/** Writes as long as its client takes it, and never ends. */
export class Flooding extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    const chunk = new Uint8Array(65_536);
    for (;;) await this.request.write(chunk).catch(() => new Promise(() => {}));
  }
}

/** Says "begun", then waits for its abort, and for nothing else. */
export class Sleeping extends RequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    const { request, clientAddress } = this;
    const aborted = new Promise((resolve) =>
      this.signal.addEventListener("abort", resolve)
    );
    const begun = new TextEncoder().encode("begun\n");
    if ("packet" in request) await request.socket.send(begun, clientAddress);
    else await request.write(begun);
    await aborted;
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
    this.beginRequest();
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
    if (how === "loop") {
      await this.wfile.write("looping\n");
      await this.wfile.flush();
      loopForEver();
    }
    if (how === "echo") {
      return await this.wfile.write("alive\n").then(() => {});
    }
    while (await this.request.read(new Uint8Array(10)) !== null);
  }
}

/** Counts itself and ends its thread, before it has written anything. */
export class Fatal extends StreamRequestHandler<Int32Array> {
  static readonly module = module;
  override handle(): void {
    Atomics.add(this.server.context, 0, 1);
    Deno.exit(3);
  }
}

/** What its tests share with it. */
export interface Shared {
  lock: Lock;
  counter: Int32Array<SharedArrayBuffer>;
}

/** Counts a hundred times per client, in a way that loses without the lock. */
export class Counting extends StreamRequestHandler<Shared> {
  static readonly module = module;
  override async handle(): Promise<void> {
    const { lock, counter } = this.server.context;
    for (let i = 0; i < 100; i++) {
      await lock.acquire();
      const before = counter[0]!;
      if (i % 10 === 0) await Promise.resolve();
      counter[0] = before + 1;
      lock.release();
    }
    await this.wfile.write("counted\n");
  }
}

/** Tells what a handler sees of its server. */
export class Facade extends StreamRequestHandler<{ word: string }> {
  static readonly module = module;
  override async handle(): Promise<void> {
    const { serverAddress, context } = this.server;
    for await (const line of this.rfile) {
      if (line === "shutdown") {
        await this.server.shutdown();
        await this.wfile.write("down\n");
      } else {
        const { open, workers } = await this.server.stats();
        const seen = { serverAddress, word: context.word, open, workers };
        await this.wfile.write(`${JSON.stringify(seen)}\n`);
      }
    }
  }
}

/** Tries what it has no permission for. */
export class Confined extends RequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    const word = await this.rfile.readLine();
    const read = await outcome(() => Deno.readTextFile("/etc/hostname"));
    const net = await outcome(() => Promise.resolve(Deno.listen({ port: 0 })));
    const env = await outcome(() => Promise.resolve(Deno.env.get("HOME")));
    const run = await outcome(() => new Deno.Command("true").output());
    await this.wfile.write(`${word} ${read} ${net} ${env} ${run}\n`);
  }
}

async function outcome(attempt: () => Promise<unknown>): Promise<string> {
  try {
    await attempt();
    return "allowed";
  } catch (error) {
    return (error as Error).name;
  }
}

const replica = crypto.randomUUID();

/** Says which replica it is in, and waits for the client's end. */
export class WhoAmI extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    await this.wfile.write(`${replica}\n`);
    await this.rfile.readAll();
  }
}

/** Says which replica it is in, waits for a line however long, says "done". */
export class Lasting extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    this.beginRequest();
    await this.wfile.write(`${replica}\n`);
    await this.request.read(new Uint8Array(10));
    await this.wfile.write("done\n");
  }
}

let waiting = 0;

/** Says that it has begun. The 20th that is to wait ends its replica instead. */
export class Abrupt extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    const buffer = new Uint8Array(10);
    await this.request.read(buffer);
    await this.request.write(new TextEncoder().encode("begun\n"));
    if (buffer[0] !== "w".charCodeAt(0)) {
      // Fills the line to a server that does not read it
      for (let i = 0; i < 150; i++) this.server.stats().catch(() => {});
      return;
    }
    if (++waiting === 20) Deno.kill(Deno.pid, "SIGKILL");
    await this.request.read(buffer);
  }
}

const hoard: Uint8Array[] = [];

/** Never lets go of the 8 MB that each request takes. */
export class Hoarding extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    hoard.push(new Uint8Array(8_388_608).fill(1));
    await this.wfile.write(`${replica} ${hoard.length}\n`);
  }
}

/** Echoes, by reads and writes or by streams as the first line says. */
export class Streams extends StreamRequestHandler {
  static readonly module = module;
  override rbufsize = 0;
  override async handle(): Promise<void> {
    const { connection } = this;
    if (await this.rfile.readLine() === "streams") {
      return await connection.readable.pipeTo(connection.writable);
    }
    const buffer = new Uint8Array(65_536);
    for (let n; (n = await connection.read(buffer)) !== null;) {
      await this.wfile.write(buffer.subarray(0, n));
    }
  }
}

/** Begins three reads at once, and answers with what they got. */
export class ThreeReads extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    const into = new Uint8Array(3);
    const reads = [0, 1, 2].map((at) =>
      this.request.read(into.subarray(at, at + 1))
    );
    await this.wfile.write("begun\n");
    await this.wfile.flush();
    await Promise.all(reads);
    await this.wfile.write(into);
  }
}

/** Ends its own direction first; then reads what comes. */
export class HalfCloser extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    await this.wfile.write("only this");
    await this.connection.closeWrite();
    const bytes = await this.rfile.readAll();
    if (bytes.length !== 8) throw new Error(`Read ${bytes.length} bytes`);
  }
}

/** Lets its client go away, and fails as a read then does. */
export class Loss extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    await this.wfile.write("begun\n");
    if (await this.rfile.readLine() !== null) await this.rfile.readAll();
  }
}

/** Does what the first line says. */
export class SlowStart extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    const word = await this.rfile.readLine();
    if (word === "echo") await this.wfile.write("echo\n");
    if (word === "write") {
      const chunk = new Uint8Array(65_536);
      while (!this.signal.aborted) await this.wfile.write(chunk);
    }
    if (word === "sleep") {
      await new Promise((resolve) => {
        this.signal.addEventListener("abort", resolve);
      });
    }
  }
}

/** Keeps an upload, `put N` and N bytes, and says how much it was. */
export class Upload extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    const [, size] = (await this.rfile.readLine() ?? "").split(" ");
    let kept = 0;
    while (kept < Number(size)) {
      const chunk = await this.rfile.read();
      if (chunk === null) break;
      kept += chunk.length;
    }
    await this.wfile.write(`kept ${kept}\n`);
  }
}

/** Echoes chunks that it reads from the connection itself. */
export class DirectEcho extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    const buffer = new Uint8Array(1_000);
    for (let n; (n = await this.connection.read(buffer)) !== null;) {
      await this.connection.write(buffer.subarray(0, n));
    }
  }
}

/** Answers a line with much, and reads no more. */
export class LargeAnswer extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    await this.rfile.readLine();
    await this.wfile.write(new Uint8Array(2_000_000));
  }
}

/** Can't be made; prints nothing of it. */
export class Unmade extends StreamRequestHandler {
  static readonly module = module;
  constructor(...args: ConstructorParameters<typeof StreamRequestHandler>) {
    super(...args);
    throw new Deno.errors.ConnectionReset("unmade");
  }
  override handle(): void {}
}
