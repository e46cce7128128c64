/** A program in which an object is collected and comes again. */
// deno-lint-ignore-file no-console
import { RLock } from "../../../mod.ts";
import { pack, unpack } from "../../../workers/queue/_sync.ts";

const { gc } = globalThis as unknown as { gc(): void };
let record: unknown;

/** The lock, as another thread knows it. */
function come(): RLock {
  return unpack(structuredClone(record)) as RLock;
}

async function collect(ref: WeakRef<object>): Promise<void> {
  while (ref.deref() !== undefined) {
    await new Promise((resolve) => setTimeout(resolve));
    gc();
  }
}

function make(): WeakRef<RLock> {
  const lock = new RLock();
  lock.acquireSync();
  record = pack(lock);
  return new WeakRef(lock);
}

await collect(make());
const second = come();
// The finalizer of the first one runs in one of these turns
for (let turn = 0; turn < 20; turn++) {
  await new Promise((resolve) => setTimeout(resolve));
  gc();
}
console.log(come() === second, second.owned());
