/** A program that ends when an item can't be put back: the queue is full. */
// deno-lint-ignore-file no-console
import { Lock, Process, SharedQueue, ThreadEvent } from "../../../mod.ts";

const queue = new SharedQueue<number>({ maxSize: 1 });
const told = new ThreadEvent();
const process = new Process({
  target: "waitForEver",
  args: [new Lock(), queue, told],
  module: new URL("../sharing_targets.ts", import.meta.url),
});
process.start();
process.result.catch(() => {});
await told.wait();
Deno.kill(process.pid!, "SIGSTOP");
await queue.put(7);
while (queue.size > 0) await new Promise((resolve) => setTimeout(resolve));
await queue.put(8);
process.kill();
await process.join();
console.log("ends");
