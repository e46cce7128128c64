/**
 * The stand-ins of a process for locks and similar objects in its parent. Their
 * asynchronous waits work as in the parent. Calls that block the thread or
 * answer at once are not possible: the answer is in another process.
 *
 * @module
 */
import { exportObject, refuseShared, registerStandIn } from "../codec/share.ts";
import {
  QueueClosedError,
  QueueEmptyError,
  QueueFullError,
  RemoteError,
} from "../base/errors.ts";
import { decode } from "../codec/decode.ts";
import { assertPositiveInteger } from "../base/check.ts";
import { deadlineOf } from "../locks/_sleep.ts";
import { BoundedSemaphore } from "../locks/bounded_semaphore.ts";
import { Lock } from "../locks/lock.ts";
import { Semaphore } from "../locks/semaphore.ts";
import { ThreadEvent } from "../locks/thread_event.ts";
import { LifoQueue } from "./lifo_queue.ts";
import { PriorityQueue } from "./priority_queue.ts";
import { SharedQueue } from "./shared_queue.ts";
import "./pipe.ts";
import { callParent, tellParent } from "./_share_link.ts";

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

/** What a stand-in does with the methods of its class. */
interface Conduct {
  /** Those that wait, with the number of values before their options. */
  asks: Record<string, 0 | 1>;
  /** Those that return nothing. */
  tells: string[];
  /** Those that are impossible, with what to do instead. */
  refuses: Record<string, string>;
  /** Refuses the first value of a method. */
  check?: (value: unknown) => void;
}

type Class = new (options?: never) => object;

async function ask(
  object: object,
  method: string,
  values: unknown[],
  options?: object,
): Promise<unknown> {
  deadlineOf(`${method} from a process`, options);
  try {
    const value = await callParent(
      exportObject(object),
      method,
      values,
      options,
    );
    // An item comes as the queue keeps it
    return method === "get" ? decode(value as Uint8Array<ArrayBuffer>) : value;
  } catch (error) {
    throw toOwnClass(error);
  }
}

function methodsOf({ asks, tells, refuses, check }: Conduct, name: string) {
  const methods: PropertyDescriptorMap = {};
  for (const [method, count] of Object.entries(asks)) {
    methods[method] = {
      async value(this: object, ...args: unknown[]): Promise<unknown> {
        if (count > 0) check?.(args[0]);
        const values = args.slice(0, count);
        return await ask(this, method, values, args[count] as object);
      },
    };
  }
  for (const method of tells) {
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
          `Cannot ${doing} a ${name} in a process: its parent keeps it; ` +
            `use "await ${instead}"`,
        );
      },
    };
  }
  return methods;
}

function define(Base: Class, conduct: Conduct, options?: object): void {
  const StandIn = class extends Base {};
  const methods = methodsOf(conduct, Base.name);
  Object.defineProperties(StandIn.prototype, methods);
  registerStandIn(Base.name, () => new StandIn(options as never));
}

define(Lock, {
  asks: { acquire: 0 },
  tells: ["release"],
  refuses: { acquireSync: "acquire()", locked: "acquire()" },
});

for (const Base of [Semaphore, BoundedSemaphore]) {
  define(Base, {
    asks: { acquire: 0 },
    tells: ["release"],
    refuses: { acquireSync: "acquire()", value: "acquire()" },
    check: (count) => assertPositiveInteger("count", count),
  });
}

define(ThreadEvent, {
  asks: { wait: 0 },
  tells: ["set", "clear"],
  refuses: { waitSync: "wait()", isSet: "wait({ timeout: 0 })" },
});

for (const Base of [SharedQueue, LifoQueue, PriorityQueue]) {
  define(Base, {
    asks: { put: 1, get: 0, join: 0 },
    tells: ["taskDone", "close"],
    refuses: {
      size: "get()",
      closed: "get()",
      full: "put()",
      putSync: "put()",
      putNowait: "put(value, { blocking: false })",
      getSync: "get()",
      getNowait: "get({ blocking: false })",
      joinSync: "join()",
    },
    check: (value) => refuseShared(value, "put", "in a queue"),
  }, { capacity: 1 });
}
