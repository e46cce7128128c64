/**
 * A program whose only activity is to wait; what it waits for comes from a
 * timer that does not keep it alive.
 */
// deno-lint-ignore-file no-console
import { Barrier } from "../../workers/locks/barrier.ts";
import { Condition } from "../../workers/locks/condition.ts";
import { Lock } from "../../workers/locks/lock.ts";
import { SharedQueue } from "../../workers/queue/shared_queue.ts";
import { ThreadEvent } from "../../workers/locks/thread_event.ts";

function later(act: () => void): void {
  Deno.unrefTimer(setTimeout(act, 100));
}

const lock = new Lock();
await lock.acquire();
later(() => lock.release());
await lock.acquire();
console.log("Lock");

const event = new ThreadEvent();
later(() => event.set());
await event.wait();
console.log("ThreadEvent");

const condition = new Condition();
later(() => {
  using _held = condition.holdSync();
  condition.notify();
});
await condition.acquire();
await condition.wait();
console.log("Condition");

const barrier = new Barrier(2);
later(() => void barrier.wait());
await barrier.wait();
console.log("Barrier");

const queue = new SharedQueue();
later(() => queue.putSync("SharedQueue"));
console.log(await queue.get());
