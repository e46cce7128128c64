/** The program of a pool's worker, step by step: the test is its pool. */

import { assertEquals } from "@std/assert";
import { main } from "../../workers/pool/_main.ts";
import {
  FLAGS,
  LOOK,
  READY,
  STATUS,
  type Status,
  TaskSlots,
} from "../../workers/pool/_protocol.ts";
import type {
  MessageHandler,
  RunnerPort,
} from "../../workers/runner/runner.ts";
import { until } from "../support/waiting.ts";

type Answer = [id: number, status: Status, value: unknown];

/** A worker in this thread, whose messages come when the test says. */
class Worker {
  /** What it has answered. */
  readonly answers: Answer[] = [];
  ended = false;
  #slots: TaskSlots | null = null;
  #given = 0;
  #port: RunnerPort;

  constructor() {
    this.#port = {
      kind: "process",
      backlog: 0,
      onmessage: null as MessageHandler | null,
      post: (message) => this.#hear(message),
      flushed: () => Promise.resolve(),
      sendNow: () => {},
      close: () => void (this.ended = true),
    };
  }

  /** Starts it. With slots, its small answers come as a thread's do. */
  start(module: Record<string, unknown>, withSlots: boolean): void {
    const taskSlots = withSlots ? TaskSlots.memory() : null;
    if (taskSlots !== null) this.#slots = new TaskSlots(taskSlots);
    // It settles when an error ends the worker
    void main(this.#port, [module], {
      module: "test:module",
      name: "worker",
      ident: 0,
      lastIdent: null,
      process: { name: "MainProcess", daemon: false },
      taskSlots,
      concurrency: 1,
      initializer: null,
    });
  }

  /** Gives it tasks in one message. */
  give(...names: string[]): void {
    this.giveWith(0, ...names);
  }

  giveWith(flags: number, ...names: string[]): void {
    const message = names.flatMap((name) => {
      const id = this.#given++;
      this.#slots?.reset(id);
      return [id, name, [id], flags];
    });
    this.#slots?.announce();
    this.#port.onmessage!(message);
  }

  /** Tells it to end when it is idle. */
  end(): void {
    this.#slots?.announce();
    this.#port.onmessage!(null);
  }

  #hear(message: unknown): void {
    if (message === READY) return;
    if (message !== LOOK) {
      const [id, status, value] = message as Answer;
      return void this.answers.push([id, status, value]);
    }
    for (let id = 0; id < this.#given; id++) {
      const answer = this.#slots!.take(id);
      if (answer === null) continue;
      this.#slots!.reset(id);
      this.answers.push([id, answer[0], answer[1]]);
    }
  }
}

Deno.test("a pool's worker keeps the order of what comes while it loads the classes of locks", async () => {
  const worker = new Worker();
  worker.start({ now: (id: number) => id }, false);
  worker.give("now");
  worker.giveWith(FLAGS.packed, "now");
  worker.give("now");
  worker.end();
  assertEquals(worker.answers.map(([id]) => id), [0]);
  await until(() => worker.ended, "its end");
  assertEquals(worker.answers.map(([id]) => id), [0, 1, 2]);
});

async function microtasks(count: number): Promise<void> {
  for (; count > 0; count--) await undefined;
}

function macrotask(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** More than a worker takes from a task's end to its rest. */
const MICROTASKS = 24;

for (const withSlots of [true, false]) {
  const how = withSlots ? "on its task slots" : "in messages";

  Deno.test(`a pool's worker that answers ${how} loses no message, whenever it comes`, async () => {
    for (let when = 0; when < MICROTASKS; when++) {
      const gate = Promise.withResolvers<void>();
      const worker = new Worker();
      worker.start({
        now: (id: number) => id,
        later: (id: number) => gate.promise.then(() => id),
        meanwhile: (id: number) => (worker.give("now"), id),
      }, withSlots);
      worker.give("now", "later");
      gate.resolve();
      await microtasks(when);
      worker.give("meanwhile");
      await macrotask();
      assertEquals(
        worker.answers.sort(([a], [b]) => a - b),
        [0, 1, 2, 3].map((id) => [id, STATUS.done, id]),
        `after ${when} microtasks`,
      );
    }
  });

  Deno.test(`a pool's worker that answers ${how} ends, whenever it is told`, async () => {
    for (let when = 0; when < MICROTASKS; when++) {
      const gate = Promise.withResolvers<void>();
      const worker = new Worker();
      worker.start({ later: () => gate.promise }, withSlots);
      worker.give("later");
      gate.resolve();
      await microtasks(when);
      worker.end();
      await macrotask();
      assertEquals(worker.answers.length, 1);
      assertEquals(worker.ended, true, `after ${when} microtasks`);
    }
  });
}
