/** Handlers of the tests of the relay. */

import {
  BaseRequestHandler,
  DatagramRequestHandler,
  StreamRequestHandler,
} from "../../handlers/mod.ts";
import { loopForEver } from "../support/endless.ts";

const module = import.meta.url;

/** What {@linkcode Answering} answers: less than a window. */
export const ANSWER_SIZE = 150_000;

/** Answers much at once and ends, or ends its replica. */
export class Answering extends StreamRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    const word = await this.rfile.readLine();
    if (word === "exit") Deno.exit(3);
    if (word === "part") {
      await this.wfile.write(new Uint8Array(ANSWER_SIZE));
      await this.rfile.readLine();
      Deno.exit(3);
    }
    await this.wfile.write(new Uint8Array(ANSWER_SIZE));
  }
}

/** Tells of its end; ends when its read does, in whatever way. */
export class Reading extends BaseRequestHandler<Deno.Conn> {
  static readonly module = module;
  override async handle(): Promise<void> {
    const buffer = new Uint8Array(10);
    await this.request.write(buffer);
    while (await this.request.read(buffer) !== null);
  }
}

/** Ends its replica before it has waited for anything. */
export class Fatal extends BaseRequestHandler<Deno.Conn> {
  static readonly module = module;
  override handle(): void {
    Deno.exit(3);
  }
}

/** Sets an option of a connection that it has closed. */
export class OptionsLate extends BaseRequestHandler<Deno.TcpConn> {
  static readonly module = module;
  override async handle(): Promise<void> {
    await this.request.read(new Uint8Array(10));
    this.request.close();
    try {
      this.request.setNoDelay();
    } catch (error) {
      // The server counts it as a client that left, and prints nothing
      throw new Deno.errors.ConnectionReset((error as Error).message);
    }
  }
}

/** Sends what the client's words say, and answers how it went. */
export class Sender extends DatagramRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    const text = new TextDecoder().decode(this.packet);
    const { packet, address } = JSON.parse(text);
    const bytes = packet === null ? null : new Uint8Array(packet);
    let how = "sent";
    try {
      const to = address ?? undefined;
      await this.socket.send(bytes as Uint8Array, to as Deno.Addr);
    } catch (error) {
      how = `${(error as Error).constructor.name}: ${(error as Error).message}`;
    }
    await this.wfile.write(how);
  }
}

/** Says what it is told; loops for ever after "loop". */
export class Looping extends DatagramRequestHandler {
  static readonly module = module;
  override async handle(): Promise<void> {
    const word = await this.rfile.readLine();
    if (word === "loop") {
      void this.socket.send(this.packet, this.clientAddress);
      // It leaves in this task; with its outcome, further packets may come
      for (let i = 0; i < 10; i++) await null;
      loopForEver();
    }
    await this.wfile.write(word ?? "");
  }
}
