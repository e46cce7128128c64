/** Server classes of a user's own, for every mode. */

// Each of many replicas loads no more than it needs
import {
  type DatagramRequest,
  EchoHandler,
  StreamRequestHandler,
} from "../../handlers/mod.ts";
import {
  ForkingMixIn,
  ForkingTCPServer,
  ThreadingMixIn,
  ThreadingTCPServer,
} from "../../server/replica_servers.ts";
import { TCPServer } from "../../server/tcp_server.ts";
import { UDPServer } from "../../server/udp_server.ts";
import { currentThread } from "../../workers/threads/thread.ts";

const module = import.meta.url;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A line before what the handler says, and a mark of where it ran. */
async function prefix(request: Deno.Conn, hook: string): Promise<void> {
  await request.write(encoder.encode(`${hook} `));
}

/** Overrides two hooks. */
export class HookedThreading extends ThreadingTCPServer {
  static readonly module = module;
  override async verifyRequest(request: Deno.TcpConn): Promise<boolean> {
    await prefix(request, "verified");
    return true;
  }
  override async finishRequest(
    request: Deno.TcpConn,
    clientAddress: Deno.Addr,
  ): Promise<void> {
    await prefix(request, "finishing");
    await super.finishRequest(request, clientAddress);
  }
}

/** Overrides two hooks. */
export class HookedForking extends ForkingTCPServer {
  static readonly module = module;
  override async verifyRequest(request: Deno.TcpConn): Promise<boolean> {
    await prefix(request, "verified");
    return true;
  }
  override async finishRequest(
    request: Deno.TcpConn,
    clientAddress: Deno.Addr,
  ): Promise<void> {
    await prefix(request, "finishing");
    await super.finishRequest(request, clientAddress);
  }
}

/** Listens late, and adds its mark then to the file that its context names. */
export class LateForking extends ForkingTCPServer<string> {
  static readonly module = module;
  override async serverBind(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 100));
    await super.serverBind();
    Deno.writeTextFileSync(this.context, "x", { append: true });
  }
}

/** A plain server with a hook, and a field that its constructor sets. */
class Hooked extends TCPServer {
  readonly word: string = "finishing";
  override async verifyRequest(request: Deno.TcpConn): Promise<boolean> {
    await prefix(request, "verified");
    return true;
  }
  override async finishRequest(
    request: Deno.TcpConn,
    clientAddress: Deno.Addr,
  ): Promise<void> {
    await prefix(request, this.word);
    await super.finishRequest(request, clientAddress);
  }
}

/** The plain server, in threads. */
export class MixedThreading extends ThreadingMixIn(Hooked) {
  static readonly module = module;
}

/** The plain server, in processes. */
export class MixedForking extends ForkingMixIn(Hooked) {
  static readonly module = module;
}

class Picky extends UDPServer {
  override verifyRequest({ packet }: DatagramRequest): boolean {
    return decoder.decode(packet) !== "no";
  }
}

/** Turns packets away, in threads. */
export class PickyThreading extends ThreadingMixIn(Picky) {
  static readonly module = module;
}

/** Turns packets away, in processes. */
export class PickyForking extends ForkingMixIn(Picky) {
  static readonly module = module;
}

/** Turns everybody away, and says how often it has shut one down. */
class Refusing extends TCPServer {
  override verifyRequest(): boolean {
    return false;
  }
  override async shutdownRequest(request: Deno.TcpConn): Promise<void> {
    await request.write(encoder.encode("shut\n"));
    this.closeRequest(request);
  }
}

/** Turns everybody away, in threads. */
export class RefusingThreading extends ThreadingMixIn(Refusing) {
  static readonly module = module;
}

/** Turns everybody away, in processes. */
export class RefusingForking extends ForkingMixIn(Refusing) {
  static readonly module = module;
}

/** Its counts can't be cloned. */
class Describing extends TCPServer<{ word: string }> {
  override async stats() {
    return { ...await super.stats(), describe: () => "counts" };
  }
}

/** Its counts can't be cloned, in threads. */
export class DescribingThreading extends ThreadingMixIn(Describing) {
  static readonly module = module;
}

/** Its counts can't be cloned, in processes. */
export class DescribingForking extends ForkingMixIn(Describing) {
  static readonly module = module;
}

export { EchoHandler };

/** What this module exports is found here. */
export const servers = module;

/** Opens a threading server; returns the error's name. */
export function tryToServe(port: number): string {
  try {
    const options = { workers: 1 };
    void new ThreadingTCPServer({ port }, EchoHandler, options).serverClose();
    return "no error";
  } catch (error) {
    return (error as Error).name;
  }
}

/** Says in which thread it runs. */
export class ThreadTeller extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    const { name, ident } = currentThread();
    await this.wfile.write(`${name} ${ident}\n`);
  }
}
