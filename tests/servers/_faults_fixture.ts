/** Handlers and servers that fail as they are told, for every mode. */

import {
  DatagramRequestHandler,
  StreamRequestHandler,
} from "../../handlers/mod.ts";
import {
  ForkingTCPServer,
  ForkingUnixStreamServer,
  ThreadingTCPServer,
  ThreadingUnixStreamServer,
} from "../../server/replica_servers.ts";

const module = import.meta.url;
/** More than the buffers of two sockets and a relay hold. */
export const LARGE = 8_388_608;

/** Keeps a replica from printing the errors that it only counts. */
function silence(server: object): void {
  Object.assign(server, { handleError() {} });
}

/** Does what the first line of its client says. */
export class Faulty extends StreamRequestHandler {
  static readonly module: string = module;
  #word = "";

  override async setup(): Promise<void> {
    silence(this.server);
    super.setup();
    this.#word = await this.rfile.readLine() ?? "";
    this.#fail("setup");
  }

  override async handle(): Promise<void> {
    this.#fail("handle");
    switch (this.#word) {
      case "large":
        return void await this.wfile.write(new Uint8Array(LARGE).fill(7));
      case "endless":
        for (;;) await this.wfile.write(new Uint8Array(65_536));
      case "half": {
        await this.wfile.write("before\n");
        await this.wfile.flush();
        await this.connection.closeWrite();
        const rest = await this.rfile.readAll();
        if (rest.length !== 5) throw new Error(`Got ${rest.length} bytes`);
        break;
      }
      case "echo":
        await this.wfile.write(await this.rfile.readAll());
    }
  }

  override async finish(): Promise<void> {
    await super.finish();
    this.#fail("finish");
  }

  #fail(where: string): void {
    if (this.#word === where) throw new RangeError(where);
  }
}

/** Answers with as many bytes as the packet says, or with what it got. */
export class FaultyPacket extends DatagramRequestHandler {
  static readonly module: string = module;

  override async handle(): Promise<void> {
    silence(this.server);
    const [count] = this.packet;
    if (this.packet.length !== 1) {
      await this.wfile.write(`${this.packet.length} ${this.truncated}`);
    } else if (count === 1) {
      await this.wfile.write(new Uint8Array(65_507));
    } else if (count === 2) {
      await this.wfile.write(new Uint8Array(212_961));
    }
  }
}

/** Fails to accept three times, as each of its replicas does. */
function failing<R>(
  getRequest: () => Promise<[R, Deno.Addr]>,
): () => Promise<[R, Deno.Addr]> {
  let left = 3;
  return () => {
    if (--left < 0) return getRequest();
    const error = new Error("Too many open files (os error 24)");
    return Promise.reject(Object.assign(error, { code: "EMFILE" }));
  };
}

/** Fails to accept. */
export class FailingThreadingTCP extends ThreadingTCPServer {
  static readonly module: string = module;
  #accept = failing(() => super.getRequest());
  override handleError(): void {}
  override getRequest(): Promise<[Deno.TcpConn, Deno.Addr]> {
    return this.#accept();
  }
}

/** Fails to accept. */
export class FailingForkingTCP extends ForkingTCPServer {
  static readonly module: string = module;
  #accept = failing(() => super.getRequest());
  override handleError(): void {}
  override getRequest(): Promise<[Deno.TcpConn, Deno.Addr]> {
    return this.#accept();
  }
}

/** Fails to accept. */
export class FailingThreadingUnix extends ThreadingUnixStreamServer {
  static readonly module: string = module;
  #accept = failing(() => super.getRequest());
  override handleError(): void {}
  override getRequest(): Promise<[Deno.UnixConn, Deno.Addr]> {
    return this.#accept();
  }
}

/** Fails to accept. */
export class FailingForkingUnix extends ForkingUnixStreamServer {
  static readonly module: string = module;
  #accept = failing(() => super.getRequest());
  override handleError(): void {}
  override getRequest(): Promise<[Deno.UnixConn, Deno.Addr]> {
    return this.#accept();
  }
}
