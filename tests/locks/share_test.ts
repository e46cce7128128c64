import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { pack, unpack } from "../../workers/queue/_sync.ts";
import {
  findExported,
  packFor,
  refuseItem,
} from "../../workers/codec/share.ts";
import { Pipe, PipeConnection } from "../../workers/queue/pipe.ts";
import { Barrier } from "../../workers/locks/barrier.ts";
import { BoundedSemaphore, Semaphore } from "../../workers/locks/semaphore.ts";
import { Condition } from "../../workers/locks/condition.ts";
import { Lock, RLock } from "../../workers/locks/lock.ts";
import { SharedQueue } from "../../workers/queue/shared_queue.ts";
import { Threads } from "./_teams.ts";
import { ThreadEvent } from "../../workers/locks/thread_event.ts";

/** What arrives on the other side of a message. */
async function send<T>(value: T): Promise<T> {
  const { port1, port2 } = new MessageChannel();
  const received = new Promise((resolve) => {
    port2.onmessage = (event) => resolve(event.data);
  });
  port1.postMessage(pack(value));
  const arrived = unpack(await received);
  port1.close();
  port2.close();
  return arrived as T;
}

Deno.test("pack(): every class arrives as itself, where it is known already", async () => {
  const all = {
    lock: new Lock(),
    rlock: new RLock(),
    condition: new Condition(),
    semaphore: new Semaphore(3),
    bounded: new BoundedSemaphore(3),
    event: new ThreadEvent(),
    barrier: new Barrier(3, { timeout: 20 }),
    queue: new SharedQueue<string>(),
  };
  const arrived = await send(all);
  for (const [name, instance] of Object.entries(all)) {
    const there = arrived[name as keyof typeof all];
    assertStrictEquals(there, instance);
  }
  arrived.lock.acquireSync();
  assert(all.lock.locked());
  arrived.rlock.acquireSync();
  assert(all.rlock.owned());
  arrived.condition.acquireSync();
  all.condition.notify();
  arrived.semaphore.acquireSync();
  assertEquals(all.semaphore.value, 2);
  assertThrows(() => arrived.bounded.release(), RangeError);
  arrived.event.set();
  assert(all.event.isSet());
  assertEquals(arrived.barrier.parties, 3);
  assertThrows(() => arrived.barrier.waitSync());
  assert(all.barrier.broken);
  arrived.queue.putSync("an item");
  assertEquals(all.queue.getSync(), "an item");
});

Deno.test("pack(): a value without a lock stays the same object", () => {
  const ring: Record<string, unknown> = { list: [1, { deep: new Map() }] };
  ring.self = ring;
  for (const value of [1, "text", null, undefined, ring, [ring], new Date()]) {
    assertStrictEquals(pack(value), value);
  }
});

Deno.test("pack(): it copies what leads to a lock, and nothing else", () => {
  const untouched = { list: [1] };
  const value = { untouched, inner: { lock: new Lock() } };
  const packed = pack(value) as typeof value;
  assert(packed !== value && packed.inner !== value.inner);
  assertStrictEquals(packed.untouched, untouched);
  assertInstanceOf(value.inner.lock, Lock);
});

Deno.test("pack(): locks are found in arrays, maps, sets, instances and rings", async () => {
  class Holder {
    lock = new Lock();
  }
  const lock = new Lock();
  const ring: { lock: Lock; self?: unknown; sparse: unknown[] } = {
    lock,
    sparse: [, lock, ,],
  };
  ring.self = ring;
  const value = {
    ring,
    map: new Map<unknown, unknown>([[lock, 1], ["value", lock]]),
    set: new Set([1, lock, 2]),
    holder: new Holder(),
    again: lock,
    ["__proto__x"]: lock,
  };
  const arrived = await send(value);
  const there = arrived.again;
  assertInstanceOf(there, Lock);
  assertStrictEquals(arrived.ring.lock, there);
  assertStrictEquals(arrived.ring.self, arrived.ring);
  assertEquals(Object.keys(arrived.ring.sparse), ["1"]);
  assertEquals(arrived.ring.sparse.length, 3);
  assertStrictEquals(arrived.ring.sparse[1], there);
  assertEquals([...arrived.map.keys()], [there, "value"]);
  assertStrictEquals(arrived.map.get("value"), there);
  assertEquals([...arrived.set], [1, there, 2]);
  assertInstanceOf(arrived.holder.lock, Lock);
  there.acquireSync();
  assert(lock.locked());
});

Deno.test("pack(): a lock alone, one in a list of 100,000, one in 200,000 objects, and one 100,000 levels deep", async () => {
  assertInstanceOf(await send(new Lock()), Lock);
  const lock = new Lock();
  const holders = await send(Array.from({ length: 200_000 }, () => ({ lock })));
  assertStrictEquals(holders.at(-1)!.lock, lock);
  const many = Array.from({ length: 100_000 }, (_, index) => [index]);
  const arrived = await send([many, new Lock()]);
  assertInstanceOf(arrived[1], Lock);
  let [deep, depth]: [unknown, number] = [lock, 0];
  for (; depth < 100_000; depth++) deep = { deep };
  // A clone would not go so deep
  for (deep = unpack(pack(deep)); depth > 0; depth--) {
    ({ deep } = deep as { deep: unknown });
  }
  assertStrictEquals(deep, lock);
});

Deno.test("pack(): a lock is one object in a thread, however often and in what it came", async () => {
  using team = new Threads(1, true);
  const [lock, other] = [new Lock(), new Lock()];
  const condition = new Condition({ lock });
  await team.run(0, "keep", lock);
  assertEquals(await team.run(0, "isKept", condition), true);
  assertEquals(
    await team.run(0, "isKept", new Condition({ lock: other })),
    false,
  );
});

Deno.test("pack(): a Barrier with an action is refused, with the cure", () => {
  const barrier = new Barrier(1, { action: () => {} });
  assertThrows(
    () => pack([barrier]),
    TypeError,
    'give each wait() its "action"',
  );
});

Deno.test("unpack(): data that only looks like a record stays data", () => {
  const text = JSON.stringify(pack({ lock: new Lock() }));
  const forged = JSON.parse(text);
  assertStrictEquals(unpack(forged), forged);
  assertEquals(JSON.stringify(forged), text);
});

Deno.test("unpack(): the name of an object stays its own, whatever a process sends", () => {
  const [end] = Pipe();
  const lock = new Lock();
  const packed = packFor("process", { end, lock }) as {
    end: { id: string };
    lock: { id: string };
  };
  const { id } = packed.lock;
  packed.end.id = id;
  const arrived = unpack(structuredClone(packed)) as Record<string, unknown>;
  assertStrictEquals(arrived.lock, lock);
  assertStrictEquals(findExported(id), lock);
  assertFalse(arrived.end instanceof PipeConnection);
});

Deno.test("refuseItem(): what a queue can't hold is named", () => {
  const cases: [unknown, string][] = [
    [new Lock(), "Cannot put a Lock in a queue"],
    [[{ deep: new Map([[1, new BoundedSemaphore()]]) }], "a BoundedSemaphore"],
    [{ queue: new SharedQueue() }, "a SharedQueue"],
    [[new SharedArrayBuffer(4)], "a SharedArrayBuffer"],
    [new Int32Array(new SharedArrayBuffer(4)), "an Int32Array over a Shared"],
  ];
  for (const [value, message] of cases) {
    assertThrows(() => refuseItem(value), TypeError, message);
  }
  refuseItem([1, "text", { list: [new Date(), new Uint8Array(4), null] }]);
});
