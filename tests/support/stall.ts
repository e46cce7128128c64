/** A client whose bytes arrive while the event loop of this thread stands still. */

const SOURCE = `onmessage = async ({ data: [port, state] }) => {
  const conn = await Deno.connect({ port });
  postMessage("connected");
  Atomics.wait(state, 0, 0);
  await conn.write(new TextEncoder().encode("late\\n"));
  Atomics.store(state, 1, 1);
  Atomics.notify(state, 1);
  await conn.readable.getReader().closed.catch(() => {});
};`;

/** Connects to a port; sends a line only in {@linkcode stall}. */
export class StallClient implements Disposable {
  #state = new Int32Array(new SharedArrayBuffer(8));
  #worker: Worker;

  constructor() {
    const source = `data:application/javascript,${encodeURIComponent(SOURCE)}`;
    this.#worker = new Worker(source, { type: "module" });
  }

  /** Settles when it has connected. */
  async connect(port: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    this.#worker.onmessage = resolve;
    this.#worker.postMessage([port, this.#state]);
    await promise;
  }

  /** Blocks this thread until the line was sent, and for `ms` more. */
  stall(ms: number): void {
    Atomics.store(this.#state, 0, 1);
    Atomics.notify(this.#state, 0);
    Atomics.wait(this.#state, 1, 0);
    Atomics.wait(this.#state, 0, 1, ms);
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}
