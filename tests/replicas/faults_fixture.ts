/** Servers and handlers that do in replicas what they should not. */

import { StreamRequestHandler } from "../../handlers/mod.ts";
import {
  ForkingTCPServer,
  ThreadingTCPServer,
} from "../../server/replica_servers.ts";
import type { ReplicaOptions, TcpAddress } from "../../mod.ts";
import { LineEcho } from "./handlers_fixture.ts";

const module = import.meta.url;
const isReplica = !("servesTests" in globalThis);

function refuseToBind(path: unknown): void {
  if (!isReplica) return;
  try {
    Deno.statSync(path as string);
  } catch {
    return; // it may, as long as the file is not there
  }
  throw new Error("This replica can't bind");
}

/** Can't bind in threads once the file that the context names is there. */
export class UnboundThreading extends ThreadingTCPServer<string> {
  static readonly module = module;
  override serverBind(): void | Promise<void> {
    refuseToBind(this.context);
    return super.serverBind();
  }
}

/** Can't bind in processes once the file that the context names is there. */
export class UnboundForking extends ForkingTCPServer<string> {
  static readonly module = module;
  override serverBind(): void | Promise<void> {
    refuseToBind(this.context);
    return super.serverBind();
  }
}

/** Has an option of its own. */
export class Greeting extends ThreadingTCPServer {
  static readonly module = module;
  readonly word: string;

  constructor(
    address: TcpAddress,
    handler: typeof LineEcho,
    { word, ...options }: ReplicaOptions & { word: string },
  ) {
    super(address, handler, options);
    this.word = word;
  }
}

/** Has an argument of its own. */
export class Crowded extends ThreadingTCPServer {
  static readonly module = module;

  constructor(
    address: TcpAddress,
    handler: typeof LineEcho,
    options: ReplicaOptions,
    readonly word: string,
  ) {
    super(address, handler, options);
  }
}

/** Makes its address itself. */
export class Fixed extends ThreadingTCPServer {
  static readonly module = module;

  constructor(port: number) {
    super({ port }, LineEcho, { workers: 1 });
  }
}

/** Ends its replica a moment after a request. */
export class MortalThreading extends ThreadingTCPServer {
  static readonly module = module;
  override closeRequest(request: Deno.TcpConn): void {
    super.closeRequest(request);
    endSoon();
  }
}

/** Ends its replica a moment after a request. */
export class MortalForking extends ForkingTCPServer {
  static readonly module = module;
  override closeRequest(request: Deno.TcpConn): void {
    super.closeRequest(request);
    endSoon();
  }
}

function endSoon(): void {
  if (isReplica) setTimeout(() => Deno.exit(1), 3);
}

/** Fails, or ends its replica, as the client says. */
export class Moody extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    const word = await this.rfile.readLine();
    if (word === "fail") throw new Error("as the client said");
    if (word === "exit") Deno.exit(1);
    await this.wfile.write("well\n");
  }
  override finish(): void {}
}

/** Does to its server what it is asked for, which its type does not have. */
export class Meddling extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    const asked = await this.rfile.readLine() as "suspend" | "serverClose";
    const server = this.server as unknown as ThreadingTCPServer;
    await server[asked]?.().catch((error: Error) =>
      this.wfile.write(`${error.message}\n`)
    );
    await this.wfile.write(`${await this.rfile.readLine()}\n`);
  }
}
