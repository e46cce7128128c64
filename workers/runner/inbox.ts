/**
 * A queue for messages that arrive before there is a handler.
 *
 * @module
 */

import type { MessageHandler } from "./runner.ts";

/** Keeps messages in order until there is a handler. */
export class Inbox {
  #fault: (thrown: unknown) => void;
  #handler: MessageHandler | null = null;
  #waiting: unknown[] = [];

  /**
   * Constructs an empty inbox.
   *
   * @param fault Called with an error of the handler.
   */
  constructor(fault: (thrown: unknown) => void) {
    this.#fault = fault;
  }

  /** The handler of the messages. */
  get handler(): MessageHandler | null {
    return this.#handler;
  }

  set handler(handler: MessageHandler | null) {
    this.#handler = handler;
    // Not at once: the caller may not have set up the rest.
    if (this.#waiting.length > 0) queueMicrotask(() => this.#flush());
  }

  /**
   * Delivers a message, after those that wait.
   *
   * @param message The message.
   */
  deliver(message: unknown): void {
    if (this.#handler !== null && this.#waiting.length === 0) {
      this.#handle(this.#handler, message);
    } else {
      this.#waiting.push(message);
    }
  }

  #handle(handler: MessageHandler, message: unknown): void {
    try {
      handler(message);
    } catch (error) {
      this.#fault(error);
    }
  }

  #flush(): void {
    const waiting = this.#waiting;
    let handled = 0;
    while (handled < waiting.length && this.#handler !== null) {
      this.#handle(this.#handler, waiting[handled++]);
    }
    this.#waiting = waiting.slice(handled);
  }
}
