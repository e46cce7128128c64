import { assertEquals, assertRejects } from "@std/assert";
import {
  ModuleImportError,
  type RunnerExit,
} from "../../workers/base/errors.ts";
import type { Runner } from "../../workers/runner/runner.ts";
import { type Member, Supervisor } from "../../workers/runner/supervisor.ts";

/** Time that passes when it is told to; all that Supervisor takes it from. */
class Clock implements Disposable {
  #now = 0;
  #timers: { at: number; callback: () => void }[] = [];
  #real = {
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    now: performance.now,
  };

  constructor() {
    const timers = this.#timers;
    Object.assign(globalThis, {
      setTimeout: (callback: () => void, delay: number) =>
        timers.push({ at: this.#now + delay, callback }),
      clearTimeout: (id: number | undefined) => {
        if (id !== undefined) timers[id - 1]!.at = Infinity;
      },
    });
    performance.now = () => this.#now;
  }

  /** Lets all that can happen now happen, then time pass to the next timer. */
  async next(): Promise<number> {
    await this.settle();
    const at = Math.min(...this.#timers.map(({ at }) => at));
    const passed = at - this.#now;
    this.pass(passed);
    for (const timer of this.#timers) {
      if (timer.at > at) continue;
      timer.at = Infinity;
      timer.callback();
    }
    await this.settle();
    return passed;
  }

  pass(duration: number): void {
    this.#now += duration;
  }

  async settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await undefined;
  }

  [Symbol.dispose](): void {
    const { now, ...timers } = this.#real;
    Object.assign(globalThis, timers);
    performance.now = now;
  }
}

class FakeMember implements Member {
  #ready = Promise.withResolvers<void>();
  #exited = Promise.withResolvers<RunnerExit>();
  readonly ready = this.#ready.promise;
  wasUsed = false;
  readonly runner = { exited: this.#exited.promise } as unknown as Runner;

  becomeReady(): void {
    this.#ready.resolve();
  }

  end(cause?: Error): void {
    this.#ready.reject(cause ?? new Error("ended before it was ready"));
    this.#exited.resolve({ code: 1, reason: "exit" });
  }
}

class FakeHost {
  readonly members: FakeMember[] = [];
  readonly causes: Error[] = [];
  failure: Error | null = null;

  get last(): FakeMember {
    return this.members.at(-1)!;
  }

  start(): FakeMember {
    if (this.failure !== null) throw this.failure;
    this.members.push(new FakeMember());
    return this.last;
  }

  readonly failures: Error[] = [];

  failing(cause: Error): void {
    this.failures.push(cause);
  }

  gaveUp(cause: Error): void {
    this.causes.push(cause);
  }
}

Deno.test("Supervisor.keep() rejects with the import error that a start throws at once", async () => {
  const host = new FakeHost();
  host.failure = new ModuleImportError("No such module", "file:///none.ts");
  const supervisor = new Supervisor(host);
  await assertRejects(() => supervisor.keep(2), ModuleImportError);
  await assertRejects(() => supervisor.nextReady(), ModuleImportError);
  assertEquals(host.causes, [host.failure]);
  host.failure = null;
  const kept = supervisor.keep(1);
  host.last.becomeReady();
  await kept;
  supervisor.stop(new Error("done"));
});

/** Has the last member crash, and become ready, again and again. */
async function crash(
  host: FakeHost,
  clock: Clock,
  times: number,
  wasUsed = false,
): Promise<number[]> {
  const pauses: number[] = [];
  for (let i = 0; i < times; i++) {
    clock.pass(50);
    host.last.wasUsed = wasUsed;
    host.last.end();
    pauses.push(await clock.next());
    host.last.becomeReady();
    await clock.settle();
  }
  return pauses;
}

Deno.test("Supervisor doubles its pause for members that crash soon after they are ready", async () => {
  using clock = new Clock();
  const host = new FakeHost();
  const supervisor = new Supervisor(host);
  const kept = supervisor.keep(2);
  for (const member of host.members) member.becomeReady();
  await kept;
  assertEquals(
    await crash(host, clock, 9),
    [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000],
  );
  assertEquals(host.causes, []);
  clock.pass(10_000);
  host.last.end();
  assertEquals(await clock.next(), 100);
  supervisor.stop(new Error("done"));
});

Deno.test("Supervisor pauses for a second at most while no member is ready because of its work", async () => {
  using clock = new Clock();
  const host = new FakeHost();
  const supervisor = new Supervisor(host);
  const kept = supervisor.keep(1);
  host.last.becomeReady();
  await kept;
  assertEquals(
    await crash(host, clock, 7, true),
    [100, 200, 400, 800, 1_000, 1_000, 1_000],
  );
  supervisor.stop(new Error("done"));
});

Deno.test("Supervisor doubles its pause to ten seconds for a member that ends without work", async () => {
  using clock = new Clock();
  const host = new FakeHost();
  const supervisor = new Supervisor(host);
  const kept = supervisor.keep(1);
  host.last.becomeReady();
  await kept;
  assertEquals(
    (await crash(host, clock, 9)).slice(-4),
    [3_200, 6_400, 10_000, 10_000],
  );
  supervisor.stop(new Error("done"));
});

Deno.test("Supervisor shortens its pause when the last member ends in it", async () => {
  using clock = new Clock();
  const host = new FakeHost();
  const supervisor = new Supervisor(host);
  const kept = supervisor.keep(2);
  const [first] = host.members;
  for (const member of host.members) member.becomeReady();
  await kept;
  await crash(host, clock, 8);
  host.last.end();
  await clock.settle();
  clock.pass(500);
  first!.end(); // which was healthy
  assertEquals(await clock.next(), 100);
  assertEquals(host.members.length, 12);
  for (const member of host.members) member.becomeReady();
  await supervisor.nextReady();
  supervisor.stop(new Error("done"));
});

Deno.test("Supervisor pauses once for members that end together", async () => {
  using clock = new Clock();
  const host = new FakeHost();
  const supervisor = new Supervisor(host);
  const kept = supervisor.keep(4);
  for (const member of host.members) member.becomeReady();
  await kept;
  for (const member of host.members) member.end();
  assertEquals(await clock.next(), 100);
  assertEquals(host.members.length, 8);
  for (const member of host.members) member.becomeReady();
  await clock.settle();
  host.last.end();
  assertEquals(await clock.next(), 200);
  supervisor.stop(new Error("done"));
});

Deno.test("Supervisor goes on once a member was ready, and tells of each failure", async () => {
  using clock = new Clock();
  const host = new FakeHost();
  const supervisor = new Supervisor(host);
  const kept = supervisor.keep(2);
  host.members[0]!.becomeReady();
  await kept; // one is enough
  const pauses: number[] = [];
  const cause = new Error("no memory");
  for (let failure = 0; failure < 9; failure++) {
    host.last.end(cause);
    pauses.push(await clock.next());
  }
  assertEquals(pauses.slice(-4), [3_200, 6_400, 10_000, 10_000]);
  host.last.becomeReady();
  await supervisor.nextReady();
  assertEquals([host.causes, host.failures], [[], Array(9).fill(cause)]);
  supervisor.stop(new Error("done"));
});

Deno.test("Supervisor.keep() does not blame what it starts for an earlier failure", async () => {
  using clock = new Clock();
  const host = new FakeHost();
  const supervisor = new Supervisor(host);
  const broken = new ModuleImportError("broken", "file:///handler.ts");
  const first = supervisor.keep(2);
  const [one, other] = host.members;
  one!.end(broken);
  await assertRejects(() => first, ModuleImportError, "broken");
  const second = supervisor.keep(2);
  other!.end(broken); // it loaded the code before it was repaired
  await clock.settle();
  assertEquals(host.members.length, 4);
  host.last.becomeReady();
  await second;
  assertEquals(host.causes, [broken]);
  supervisor.stop(new Error("done"));
});

Deno.test("Supervisor gives up after five in a row that were never ready", async () => {
  using clock = new Clock();
  const host = new FakeHost();
  const supervisor = new Supervisor(host);
  const kept = supervisor.keep(1);
  kept.catch(() => {});
  const cause = new Error("hung in its import");
  for (let failure = 0; failure < 4; failure++) {
    host.last.end(cause);
    await clock.next();
  }
  host.last.end(cause);
  await assertRejects(() => kept, Error, "hung in its import");
  assertEquals(host.causes, [cause]);
  assertEquals(host.members.length, 5);
});
