/**
 * An acceptor that can be told to hold still.
 *
 * @module
 */

import type { Acceptor } from "../acceptor.ts";

/** Leaves what comes to others on the same socket while it is muted. */
export class MutableAcceptor<R> implements Acceptor<R> {
  #inner: Acceptor<R>;
  #muted = false;
  #waiting: PromiseWithResolvers<void> | null = null;

  constructor(inner: Acceptor<R>) {
    this.#inner = inner;
  }

  set muted(muted: boolean) {
    this.#muted = muted;
    if (!muted) this.#waiting?.resolve();
  }

  async accept(): Promise<[request: R, clientAddress: Deno.Addr]> {
    while (this.#muted) {
      this.#waiting = Promise.withResolvers();
      await this.#waiting.promise;
    }
    return await this.#inner.accept();
  }

  close(): void {
    this.#waiting?.reject(new Deno.errors.BadResource("Listener closed"));
    this.#inner.close();
  }

  ref(): void {
    this.#inner.ref?.();
  }

  unref(): void {
    this.#inner.unref?.();
  }
}
