/** A client whose bytes arrive while the event loop of this thread stands still. */

const SOURCE = `onmessage = async ({ data: [port, state, connects] }) => {
  let conn = connects ? await Deno.connect({ port }) : null;
  postMessage("ready");
  Atomics.wait(state, 0, 0);
  let answer = "";
  const told = () => {
    Atomics.store(state, 1, 1);
    Atomics.notify(state, 1);
  };
  try {
    conn ??= await Deno.connect({ port });
    await conn.write(new TextEncoder().encode("late\\n"));
    told();
    const buffer = new Uint8Array(64);
    for (let n; (n = await conn.read(buffer)) !== null;) {
      answer += new TextDecoder().decode(buffer.subarray(0, n));
    }
  } catch (error) {
    answer += error.name;
    told();
  }
  postMessage(answer);
};`;

/** Connects to a port; sends a line only in {@linkcode stall}. */
export class StallClient implements Disposable {
  #state = new Int32Array(new SharedArrayBuffer(8));
  #worker: Worker;
  /** What it has read to the end, and the error that ended it. */
  answer: Promise<string> | null = null;

  constructor() {
    const source = `data:application/javascript,${encodeURIComponent(SOURCE)}`;
    this.#worker = new Worker(source, { type: "module" });
  }

  /** Settles when it has connected, or will do so in the stall. */
  async connect(port: number, inStall = false): Promise<void> {
    const ready = this.#said();
    this.#worker.postMessage([port, this.#state, !inStall]);
    await ready;
    this.answer = this.#said();
  }

  /** Blocks this thread until the line was sent, and for `ms` more. */
  stall(ms: number): void {
    Atomics.store(this.#state, 0, 1);
    Atomics.notify(this.#state, 0);
    Atomics.wait(this.#state, 1, 0);
    Atomics.wait(this.#state, 0, 1, ms);
  }

  #said(): Promise<string> {
    return new Promise((resolve) => {
      this.#worker.onmessage = ({ data }) => resolve(data);
    });
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

/** Calls `stall` before a timer without a pause fires: the `count`th one. */
export class StallBefore implements Disposable {
  #setTimeout = globalThis.setTimeout;

  constructor(count: number, stall: () => void) {
    let left = count;
    globalThis.setTimeout = ((run: () => void, ms?: number) => {
      if (ms === 0 && --left === 0) queueMicrotask(stall);
      return this.#setTimeout.call(globalThis, run, ms);
    }) as typeof setTimeout;
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#setTimeout;
  }
}
