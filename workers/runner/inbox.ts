import type { MessageHandler } from "./runner.ts";

/** Keeps messages in order until somebody handles them. */
export class Inbox {
  #handler: MessageHandler | null = null;
  #waiting: unknown[] = [];

  /** Who handles the messages. */
  get handler(): MessageHandler | null {
    return this.#handler;
  }

  set handler(handler: MessageHandler | null) {
    this.#handler = handler;
    // Not at once: who sets a handler has often not set up the rest.
    if (this.#waiting.length > 0) queueMicrotask(() => this.#flush());
  }

  /**
   * Hands a message over, behind those that wait.
   *
   * @param message The message.
   */
  deliver(message: unknown): void {
    if (this.#handler !== null && this.#waiting.length === 0) {
      this.#handler(message);
    } else {
      this.#waiting.push(message);
    }
  }

  #flush(): void {
    const waiting = this.#waiting;
    let handled = 0;
    try {
      while (handled < waiting.length && this.#handler !== null) {
        this.#handler(waiting[handled++]);
      }
    } finally {
      this.#waiting = waiting.slice(handled);
      if (this.#waiting.length > 0 && this.#handler !== null) {
        queueMicrotask(() => this.#flush());
      }
    }
  }
}
