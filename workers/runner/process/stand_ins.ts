/**
 * The stand-ins of a process for locks and similar objects in its parent. Their
 * asynchronous waits work as in the parent. Calls that block the thread or
 * answer at once are not possible: the answer is in another process.
 *
 * @module
 */
import { registerStandIn } from "../../codec/exported.ts";
import { refuseShared } from "../../codec/share.ts";
import { RemoteError } from "../../errors.ts";
import { refusePermits } from "../../locks/_permits.ts";
import { BoundedSemaphore } from "../../locks/bounded_semaphore.ts";
import { Lock } from "../../locks/lock.ts";
import { Semaphore } from "../../locks/semaphore.ts";
import { ThreadEvent } from "../../locks/thread_event.ts";
import type { AcquireOptions, WaitOptions } from "../../locks/wait_options.ts";
import { LifoQueue } from "../../queue/lifo_queue.ts";
import { PriorityQueue } from "../../queue/priority_queue.ts";
import {
  QueueClosedError,
  QueueEmptyError,
  QueueFullError,
} from "../../queue/queue_errors.ts";
import { SharedQueue } from "../../queue/shared_queue.ts";
import "../../queue/pipe.ts";
import { callParent, tellParent } from "./share_link.ts";

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

function refuse(what: string, instead: string): never {
  throw new Deno.errors.NotSupported(
    `Cannot ${what} in a process: its parent keeps it; ${instead}`,
  );
}

/** The parent's name of an object. */
class Line {
  #id: string;

  constructor(id: string) {
    this.#id = id;
  }

  async call<T>(
    method: string,
    options?: WaitOptions,
    ...args: unknown[]
  ): Promise<T> {
    try {
      return await callParent(this.#id, method, args, options) as T;
    } catch (error) {
      throw toOwnClass(error);
    }
  }

  tell(method: string, ...args: unknown[]): void {
    tellParent(this.#id, method, args);
  }
}

const USE_ACQUIRE = 'use "await acquire()"';

class StandInLock extends Lock {
  #line: Line;

  constructor(id: string) {
    super();
    this.#line = new Line(id);
  }

  override acquire(options?: AcquireOptions): Promise<boolean> {
    return this.#line.call("acquire", options);
  }

  override acquireSync(): boolean {
    return refuse("block for a Lock", USE_ACQUIRE);
  }

  override release(): void {
    this.#line.tell("release");
  }

  override locked(): boolean {
    return refuse("look at a Lock", USE_ACQUIRE);
  }
}

function standInFor(Base: typeof Semaphore | typeof BoundedSemaphore) {
  return class extends (Base as typeof Semaphore) {
    #line: Line;

    constructor(id: string) {
      super();
      this.#line = new Line(id);
    }

    override get value(): number {
      return refuse("look at a Semaphore", USE_ACQUIRE);
    }

    override acquire(options?: AcquireOptions): Promise<boolean> {
      return this.#line.call("acquire", options);
    }

    override acquireSync(): boolean {
      return refuse("block for a Semaphore", USE_ACQUIRE);
    }

    override release(count = 1): void {
      refusePermits("release the semaphore", count);
      this.#line.tell("release", count);
    }
  } as unknown as new (id: string) => Semaphore;
}

const StandInSemaphore = standInFor(Semaphore);
const StandInBoundedSemaphore = standInFor(BoundedSemaphore);

class StandInEvent extends ThreadEvent {
  #line: Line;

  constructor(id: string) {
    super();
    this.#line = new Line(id);
  }

  override isSet(): boolean {
    return refuse("look at a ThreadEvent", 'use "await wait({ timeout: 0 })"');
  }

  override set(): void {
    this.#line.tell("set");
  }

  override clear(): void {
    this.#line.tell("clear");
  }

  override wait(options?: WaitOptions): Promise<boolean> {
    return this.#line.call("wait", options);
  }

  override waitSync(): boolean {
    return refuse("block for a ThreadEvent", 'use "await wait()"');
  }
}

function standInForQueue(
  Base: typeof SharedQueue | typeof LifoQueue | typeof PriorityQueue,
) {
  const { name } = Base;
  return class extends (Base as typeof SharedQueue) {
    #line: Line;

    constructor(id: string) {
      super({ capacity: 1 });
      this.#line = new Line(id);
    }

    override get size(): number {
      return refuse(`look at a ${name}`, 'use "await get()"');
    }

    override get closed(): boolean {
      return refuse(`look at a ${name}`, 'use "await get()"');
    }

    override full(): boolean {
      return refuse(`look at a ${name}`, 'use "await put()"');
    }

    override async put(
      value: unknown,
      options?: AcquireOptions,
    ): Promise<void> {
      refuseShared(value, "put", "in a queue");
      await this.#line.call("put", options, value);
    }

    override putSync(): void {
      return refuse(`block for a ${name}`, 'use "await put()"');
    }

    override putNowait(): void {
      return refuse(
        `look at a ${name}`,
        'use "await put(value, { blocking: false })"',
      );
    }

    override get(options?: AcquireOptions): Promise<unknown> {
      return this.#line.call("get", options);
    }

    override getSync(): unknown {
      return refuse(`block for a ${name}`, 'use "await get()"');
    }

    override getNowait(): unknown {
      return refuse(
        `look at a ${name}`,
        'use "await get({ blocking: false })"',
      );
    }

    override taskDone(): void {
      this.#line.tell("taskDone");
    }

    override join(options?: WaitOptions): Promise<boolean> {
      return this.#line.call("join", options);
    }

    override joinSync(): boolean {
      return refuse(`block for a ${name}`, 'use "await join()"');
    }

    override close(): void {
      this.#line.tell("close");
    }
  } as unknown as new (id: string) => object;
}

const StandInQueue = standInForQueue(SharedQueue);
const StandInLifoQueue = standInForQueue(LifoQueue);
const StandInPriorityQueue = standInForQueue(PriorityQueue);

registerStandIn("Lock", (id) => new StandInLock(id));
registerStandIn("Semaphore", (id) => new StandInSemaphore(id));
registerStandIn("BoundedSemaphore", (id) => new StandInBoundedSemaphore(id));
registerStandIn("ThreadEvent", (id) => new StandInEvent(id));
registerStandIn("SharedQueue", (id) => new StandInQueue(id));
registerStandIn("LifoQueue", (id) => new StandInLifoQueue(id));
registerStandIn("PriorityQueue", (id) => new StandInPriorityQueue(id));
