/**
 * The stand-ins of a process for locks and similar objects in its parent. Their
 * asynchronous waits work as in the parent. Calls that block the thread or
 * answer at once are not possible: the answer is in another process.
 *
 * @module
 */
import { exportObject, typeNamed } from "../codec/share.ts";
import {
  QueueClosedError,
  QueueEmptyError,
  QueueFullError,
  RemoteError,
} from "../base/errors.ts";
import { decode, readInt32 } from "../codec/decode.ts";
import { assertPositiveInteger } from "../base/check.ts";
import { checkpoint, checkpointDue } from "../locks/_checkpoint.ts";
import { deadlineOf, WAIT } from "../locks/_until.ts";
import { BoundedSemaphore, Semaphore } from "../locks/semaphore.ts";
import { Lock } from "../locks/lock.ts";
import { ThreadEvent } from "../locks/thread_event.ts";
import { LifoQueue, PriorityQueue, SharedQueue } from "./shared_queue.ts";
import "./pipe.ts";
import {
  type AheadTaker,
  callParent,
  claim,
  onRecall,
  tell,
  tellParent,
} from "./_share_link.ts";

type Bytes = Uint8Array<ArrayBuffer>;
type Ends = Record<"incoming" | "outgoing", SharedQueue>;

/** The errors that a caller may catch by their class. */
const CLASSES: Record<string, new (message: string) => Error> = {
  QueueClosedError,
  QueueEmptyError,
  QueueFullError,
  RangeError,
  ReferenceError,
  TypeError,
};

function toOwnClass(error: unknown): unknown {
  if (!(error instanceof RemoteError)) return error;
  const Class = CLASSES[error.name];
  return Class === undefined ? error : new Class(error.message);
}

/** How long the items asked for ahead last, at the pace of the last ones. */
const AHEAD_MS = 2;

/** The items of a queue that came ahead, beside one answer at a time. */
class Supply implements AheadTaker {
  /** The call beside whose answer they came. */
  call = 0;
  readonly #queue: string;
  /** The items, each after its length, and where the next one is. */
  #bytes: Bytes | null = null;
  #at = 0;
  #askedAt = -Infinity;
  #taken = 0;

  constructor(queue: string) {
    this.#queue = queue;
  }

  get isEmpty(): boolean {
    return this.#bytes === null;
  }

  /** Takes the next item. */
  take(): unknown {
    const bytes = this.#bytes!;
    const start = this.#at + 4;
    const end = this.#at = start + readInt32(bytes, this.#at);
    if (end === bytes.length) this.drop();
    this.#taken++;
    claim(this.call);
    return decode(bytes, start, end);
  }

  /** As many as will be taken soon. */
  most(): number {
    const now = performance.now();
    const each = (now - this.#askedAt) / this.#taken;
    this.#askedAt = now;
    this.#taken = 1;
    return Math.floor(AHEAD_MS / each);
  }

  fill(call: number, bytes: Bytes): void {
    [this.call, this.#bytes, this.#at] = [call, bytes, 0];
    supplying.set(this.#queue, this);
  }

  /** Has no more items. */
  drop(): void {
    this.#bytes = null;
    supplying.delete(this.#queue);
  }
}

/** Supplies with items, by the names of queues, which may be collected. */
const supplying = new Map<string, Supply>();
const supplied = new WeakMap<object, Supply>();

function supplyOf(queue: object): Supply {
  let supply = supplied.get(queue);
  if (supply === undefined) {
    const name = exportObject(queue);
    supply = supplying.get(name) ?? new Supply(name);
    supplied.set(queue, supply);
  }
  return supply;
}

onRecall((call) => {
  for (const supply of supplying.values()) {
    if (supply.call === call) supply.drop();
  }
  tell(["back", call]);
});

const pipes = typeNamed("PipeConnection");
pipes.opened = (pipe) => {
  const { incoming, outgoing } = pipes.record(pipe) as Ends;
  tellParent(exportObject(outgoing), "hold", [true]);
  tellParent(exportObject(incoming), "hold", [false]);
};

type Class = new (options?: never) => object;
type Check = (value: unknown) => void;

function ask(
  object: object,
  method: string,
  values: unknown[],
  options?: object,
): unknown {
  const known = method === "wait" || method === "join" ? WAIT : undefined;
  const { signal } = deadlineOf(`${method}()`, options, known);
  if (method !== "get") return send(object, method, values, options);
  const supply = supplyOf(object);
  signal?.throwIfAborted();
  return supply.isEmpty || checkpointDue()
    ? get(object, supply, options)
    : supply.take();
}

async function get(
  object: object,
  supply: Supply,
  options?: object,
): Promise<unknown> {
  if (!supply.isEmpty) await checkpoint();
  // They may have been recalled meanwhile
  while (supply.isEmpty) {
    const item = await send(object, "get", [], options, supply);
    // It comes as the queue keeps it; without one, the next has come ahead
    if (item !== undefined) return decode(item as Bytes);
  }
  return supply.take();
}

async function send(
  object: object,
  method: string,
  values: unknown[],
  options?: object,
  taker?: AheadTaker,
): Promise<unknown> {
  try {
    const name = exportObject(object);
    return await callParent(name, method, values, options, taker);
  } catch (error) {
    throw toOwnClass(error);
  }
}

/**
 * Makes a class's stand-ins.
 *
 * @param Base The class.
 * @param refuses The members that are impossible, with what to do instead.
 * @param check Refuses the first value of a method without an answer.
 * @param options What makes an instance.
 */
function define(
  Base: Class,
  refuses: Record<string, string>,
  check?: Check,
  options?: object,
): void {
  const StandIn = class extends Base {};
  const type = typeNamed(Base.name);
  type.standIn = () => new StandIn(options as never);
  const methods: PropertyDescriptorMap = {};
  for (const method of type.asks!) {
    const count = method === "put" ? 1 : 0;
    methods[method] = {
      // deno-lint-ignore require-await -- errors must reject, and an await is slow
      async value(this: object, ...args: unknown[]): Promise<unknown> {
        const values = args.slice(0, count);
        return ask(this, method, values, args[count] as object);
      },
    };
  }
  for (const method of type.tells!) {
    if (!(method in Base.prototype)) continue;
    methods[method] = {
      value(this: object, ...args: unknown[]): void {
        if (args.length > 0) check?.(args[0]);
        tellParent(exportObject(this), method, args);
      },
    };
  }
  for (const [method, instead] of Object.entries(refuses)) {
    const doing = method.endsWith("Sync") ? "block for" : "look at";
    methods[method] = {
      get(): never {
        throw new Deno.errors.NotSupported(
          `Cannot ${doing} a ${Base.name} in a process: its parent keeps it; ` +
            `use "await ${instead}"`,
        );
      },
    };
  }
  Object.defineProperties(StandIn.prototype, methods);
}

define(Lock, { acquireSync: "acquire()", locked: "acquire()" });

for (const Base of [Semaphore, BoundedSemaphore]) {
  define(
    Base,
    { acquireSync: "acquire()", value: "acquire()" },
    (count) => assertPositiveInteger("count", count),
  );
}

define(ThreadEvent, { waitSync: "wait()", isSet: "wait({ timeout: 0 })" });

for (const Base of [SharedQueue, LifoQueue, PriorityQueue]) {
  define(
    Base,
    {
      size: "get()",
      closed: "get()",
      full: "put()",
      putSync: "put()",
      putNowait: "put(value, { blocking: false })",
      getSync: "get()",
      getNowait: "get({ blocking: false })",
      joinSync: "join()",
    },
    undefined,
    { capacity: 1 },
  );
}
