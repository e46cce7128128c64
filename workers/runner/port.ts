/**
 * A runner's end of the connection to its owner.
 *
 * @module
 */

import { type ExitRecord, toExitRecord } from "./error_record.ts";
import { Inbox } from "./inbox.ts";
import type { MessageHandler, RunnerKind, RunnerPort } from "./runner.ts";

/** The connection of a {@linkcode Port}. */
export interface PortLine {
  /** The kind of runner that this is. */
  readonly kind: RunnerKind;
  /** The number of bytes that wait to be sent. */
  backlog(): number;
  /** Sends a message. */
  post(message: unknown, transfer?: Transferable[]): void;
  /** Settles when everything has been handed to the system. */
  flushed(): Promise<void>;
  /** Ends the runner. */
  end(exit: ExitRecord): void;
}

/** A runner's end of its connection. */
export class Port implements RunnerPort {
  readonly kind: RunnerKind;
  /** The received messages. */
  readonly inbox: Inbox;
  readonly post: RunnerPort["post"];
  readonly flushed: RunnerPort["flushed"];
  #line: PortLine;

  constructor(line: PortLine) {
    this.kind = line.kind;
    this.inbox = new Inbox((error) => line.end(toExitRecord(error)));
    this.post = line.post;
    this.flushed = line.flushed;
    this.#line = line;
  }

  get backlog(): number {
    return this.#line.backlog();
  }

  get onmessage(): MessageHandler | null {
    return this.inbox.handler;
  }

  set onmessage(handler: MessageHandler | null) {
    this.inbox.handler = handler;
  }

  close(): void {
    const code = this.kind === "process" ? Deno.exitCode : 0;
    this.#line.end({ code, reason: "returned" });
  }
}
