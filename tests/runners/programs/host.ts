/** A program in which a process's host ends after items were sent ahead. */
// deno-lint-ignore-file no-console
import { SharedQueue } from "../../../mod.ts";
import { encode } from "../../../workers/codec/codec.ts";
import { exportObject } from "../../../workers/codec/share.ts";
import { ShareHost } from "../../../workers/queue/_shares.ts";

const { gc } = globalThis as unknown as { gc(): void };
const queue = new SharedQueue<number>();
for (let item = 0; item < 10; item++) queue.putNowait(item);

async function lend(): Promise<WeakRef<ShareHost>> {
  const { promise, resolve } = Promise.withResolvers<unknown[]>();
  const host = new ShareHost(resolve);
  const id = exportObject(queue);
  host.receive(["call", 1, id, "get", encode([]), {}, 0, 4]);
  const [, , , ahead] = await promise;
  if (ahead === undefined) throw new Error("Nothing was sent ahead");
  host.receive(["took", 1, 5]);
  host.end(true);
  return new WeakRef(host);
}

const host = await lend();
for (let turn = 0; turn < 200 && host.deref() !== undefined; turn++) {
  await new Promise((resolve) => setTimeout(resolve, 1));
  gc();
}
console.log(host.deref() === undefined ? "collected" : "kept");
if (queue.size !== 5) throw new Error("The queue has lost items");
