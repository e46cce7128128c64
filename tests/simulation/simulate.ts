/**
 * Runs a server and its replicas under a scheduler with a seed, and checks that
 * nothing is lost and nothing waits.
 */

import { restoreClock } from "./_still_clock.ts";
// The first import() of it would take real time
import "../../server/replicas/replica_set.ts";
import { RunnerExitError, ServerClosedError } from "../../mod.ts";
import type { DrainReport } from "../../server/drain_report.ts";
import { Network, type SimConn } from "./_network.ts";
import type { SimRunner } from "./_runner.ts";
import * as modules from "./_server.ts";
import {
  byteOf,
  type Served,
  setStage,
  SimHandler,
  SimServer,
  type Stage,
} from "./_server.ts";
import { type Owner, World } from "./_world.ts";

restoreClock();

/** Longer than every time limit of a server together. */
const PATIENCE_MS = 120_000;
const SHUTDOWN_TIMEOUT_MS = 10_000;

/** What a client met. */
interface Client {
  port: number;
  since: number;
  /** How long its bytes take, in each direction. */
  latency: number;
  /** The lines that it means to send, in order. */
  lines: string[];
  received: number;
  isWrong: boolean;
  outcome: "end" | "reset" | "left" | "refused" | null;
}

class Simulation {
  readonly world: World;
  readonly net: Network;
  readonly stage: Stage;
  readonly clients: Client[] = [];
  #people: Owner = { name: "clients", alive: true };
  #server!: SimServer;
  #talks: Promise<void>[] = [];
  #hung = 0;
  #isolates = false;
  /** Whether replicas leave by themselves. */
  #isRenewed = false;
  #pausedSince: number | null = null;
  /** The troubles under way, which may overlap. */
  #underWay: Set<string> = new Set();
  #overlaps = 0;
  #isClosing = false;
  #isSuspended = false;

  constructor(seed: number) {
    this.world = new World(seed);
    this.net = new Network(this.world);
    this.stage = {
      world: this.world,
      net: this.net,
      modules,
      isBroken: false,
      runners: new Set(),
      served: new Map(),
      isNextFatal: false,
      errors: new Map(),
      closedByHook: new Map(),
      closedAt: new Map(),
    };
  }

  async run(): Promise<void> {
    const { listen } = Deno;
    Deno.listen = this.net.listen as typeof Deno.listen;
    setStage(this.stage);
    try {
      await this.world.run(() => this.#main());
    } finally {
      Deno.listen = listen;
    }
  }

  async #main(): Promise<void> {
    const { world } = this;
    SimServer.kind = world.chance(0.7) ? "thread" : "process";
    const canShard = SimServer.kind === "thread" && world.chance(0.5);
    const workers = 1 + world.below(3);
    const dispatch = canShard
      ? "shard"
      : world.chance(0.15)
      ? "isolate"
      : "relay";
    this.#isolates = dispatch === "isolate";
    this.#isRenewed = !this.#isolates && world.chance(0.3);
    const options = {
      module: import.meta.url,
      workers,
      dispatch,
      shutdownTimeout: SHUTDOWN_TIMEOUT_MS,
      ...(this.#isRenewed && { maxRequests: 1 + world.below(4) }),
    } as const;
    world.note(JSON.stringify({ kind: SimServer.kind, ...options }));
    this.#server = new SimServer(
      { port: 0 },
      SimHandler,
      options,
    );
    const serving = this.#serve();
    world.as(this.#people, () => this.#sendClients(4 + world.below(12)));
    const troubles = this.#makeTroubles(1 + world.below(4));
    troubles.catch(() => {}); // awaited in a moment
    await world.sleep(world.below(4_000));
    if (world.chance(0.7)) await this.#within("the troubles", troubles);
    const reload = world.chance(0.2) ? this.#reloadSoon() : null;
    const report = await this.#within("serverClose()", this.#close());
    assert(this.#alive.length === 0, "serverClose() left a replica");
    const runners = this.stage.runners.size;
    await this.#within("the troubles", troubles);
    await reload;
    await this.#within("serveForever()", serving);
    await this.#within("the clients", Promise.all(this.#talks));
    await world.sleep(1_000); // what dies takes a moment
    assert(
      this.stage.runners.size === runners,
      "a replica was started after serverClose()",
    );
    await this.#check(report);
  }

  async #serve(isSecondTry = false): Promise<void> {
    let error: unknown = null;
    await this.#server.serveForever().catch((thrown) => error = thrown);
    if (this.#isClosing && error instanceof ServerClosedError) return;
    if (this.#isSuspended && error instanceof TypeError) {
      // It refuses to serve then
      while (this.#isSuspended) await this.world.sleep(1);
      return await this.#serve(true);
    }
    // Somebody else may have called it meanwhile
    if (isSecondTry && error instanceof TypeError) return;
    if (error !== null) this.world.fail(`serveForever() rejected: ${error}`);
  }

  #close(): Promise<DrainReport> {
    this.world.note("serverClose()");
    this.#isClosing = true;
    return this.#server.serverClose();
  }

  #sendClients(count: number): void {
    const { world } = this;
    for (let i = 0; i < count; i++) {
      world.at(world.below(3_000), () => {
        const latency = world.chance(0.7) ? 0 : world.chance(0.5) ? 150 : 400;
        const to = this.#server.serverAddress.port;
        const conn = this.net.connect(to, latency);
        const { port } = conn?.localAddr ?? { port: 0 };
        const client: Client = {
          port,
          since: world.now,
          latency,
          lines: this.#plan(),
          received: 0,
          isWrong: false,
          outcome: conn === null ? "refused" : null,
        };
        this.clients.push(client);
        if (conn === null) return;
        if (world.chance(0.1)) {
          this.stage.closedByHook.set(port, world.below(300));
        }
        this.#talks.push(this.#talk(client, conn));
      });
    }
  }

  /** A client's life: it asks, then reads fast, slowly, or not to the end. */
  async #talk(client: Client, conn: SimConn): Promise<void> {
    const { world } = this;
    const leavesAfter = world.chance(0.15) ? world.below(500) : null;
    if (leavesAfter !== null) {
      world.at(leavesAfter, () => {
        client.outcome ??= "left";
        if (world.chance(0.5)) conn.reset();
        else conn[Symbol.dispose]();
      });
    }
    world.note(`client ${client.port} connects`);
    const asking = this.#ask(client, conn).catch(() => {});
    const isSlow = world.chance(0.4);
    const buffer = new Uint8Array(isSlow ? 4_096 : 65_536);
    try {
      for (let n; (n = await conn.read(buffer)) !== null;) {
        for (let i = 0; i < n; i++) {
          client.isWrong ||=
            buffer[i] !== byteOf(client.port, client.received + i);
        }
        client.received += n;
        if (isSlow) await world.sleep(world.below(80));
      }
      client.outcome ??= "end";
    } catch {
      client.outcome ??= "reset";
    }
    world.note(`client ${client.port}: ${client.outcome}, ${client.received}`);
    await asking;
    conn[Symbol.dispose]();
  }

  /** What a client asks for; one in ten never says a word. */
  #plan(): string[] {
    const { world } = this;
    if (world.chance(0.1)) return [];
    const lines = Array.from(
      { length: world.below(4) },
      () =>
        world.chance(0.6)
          ? `echo ${world.below(500)}`
          : world.chance(0.6)
          ? `upload ${1 + world.below(world.chance(0.3) ? 400_000 : 20_000)}`
          : `compute ${world.below(300)}`,
    );
    const last = world.chance(0.5)
      ? `blob ${world.below(200_000)}`
      : world.chance(0.1)
      ? "throw"
      : "bye";
    return [...lines, last];
  }

  async #ask(client: Client, conn: SimConn): Promise<void> {
    const { world } = this;
    for (const line of client.lines) {
      if (world.chance(0.5)) await world.sleep(world.below(200));
      await writeAll(conn, new TextEncoder().encode(`${line}\n`));
      const [word, size] = line.split(" ");
      if (word === "upload") await this.#upload(client, conn, Number(size));
    }
    if (client.lines.length > 0 && world.chance(0.6)) await conn.closeWrite();
  }

  /** Sends an upload at once, or for up to two seconds. */
  async #upload(client: Client, conn: SimConn, size: number): Promise<void> {
    const { world } = this;
    const pauses = world.chance(0.5) ? 0 : world.below(20);
    const most = Math.ceil(size / (pauses + 1));
    for (let at = 0; at < size; at += most) {
      const chunk = new Uint8Array(Math.min(most, size - at));
      for (let i = 0; i < chunk.length; i++) {
        chunk[i] = byteOf(~client.port, at + i);
      }
      await writeAll(conn, chunk);
      if (pauses > 0) await world.sleep(world.below(100));
    }
  }

  async #makeTroubles(count: number): Promise<void> {
    const { world } = this;
    const kinds = [
      () => this.#killOne(),
      () => void (this.stage.isNextFatal = true),
      () => this.#hangOne(),
      () => this.#reload(),
      () => this.#restart(),
      () => this.#breakModule(),
      () => void (this.net.bindFailures += 1 + world.below(2)),
      () => this.#killOne(),
      () => this.#killOne(),
      () => this.#suspend(),
      () => this.#suspend(),
    ];
    const all: Promise<void>[] = [];
    while (count-- > 0 && !this.#isClosing) {
      await world.sleep(world.below(world.chance(0.3) ? 20 : 1_200));
      const trouble = this.#cause(kinds[world.below(kinds.length)]!);
      trouble.catch(() => {}); // awaited in the end
      all.push(trouble);
      if (world.chance(0.6)) await trouble;
    }
    await Promise.all(all);
  }

  /** Has a trouble come, unless one of its kind is there. */
  async #cause(trouble: () => Promise<void> | void): Promise<void> {
    const kind = `${trouble}`;
    if (this.#underWay.has(kind)) return;
    if (this.#underWay.size > 0) this.#overlaps++;
    this.#underWay.add(kind);
    try {
      await trouble();
    } finally {
      this.#underWay.delete(kind);
    }
  }

  /** `suspend()`, a while, and `resume()`. */
  async #suspend(): Promise<void> {
    this.world.note("suspend()");
    this.#isSuspended = true;
    await this.#within("suspend()", this.#server.suspend().catch(() => {}));
    await this.world.sleep(this.world.below(300));
    this.world.note("resume()");
    // It rejects where the server closes meanwhile
    await this.#within("resume()", this.#server.resume().catch(() => {}));
    this.#isSuspended = false;
  }

  get #alive(): SimRunner[] {
    return [...this.stage.runners].filter((each) =>
      !each.hasExited && !each.isHung
    );
  }

  #victim(): SimRunner | undefined {
    const alive = this.#alive;
    return alive[this.world.below(alive.length)];
  }

  #killOne(): void {
    const victim = this.#victim();
    this.world.note(`kill ${victim?.owner.name}`);
    victim?.end({ code: -9, reason: "exit" });
  }

  #hangOne(): void {
    const victim = this.#victim();
    if (victim === undefined) return;
    this.world.note(`hang ${victim.owner.name}`);
    victim.isHung = true;
    victim.owner.alive = false;
    this.#hung++;
  }

  async #reload(): Promise<void> {
    this.world.note("reload()");
    // It rejects where a replica dies while it starts
    await this.#within("reload()", this.#server.reload().catch(() => {}));
  }

  /** `reload()` once or twice, a moment later. */
  async #reloadSoon(): Promise<void> {
    for (let count = 1 + this.world.below(2); count > 0; count--) {
      const first = count === 2 ? this.#reload() : null;
      await this.world.sleep(this.world.below(30));
      await this.#reload();
      await first;
    }
  }

  async #breakModule(): Promise<void> {
    this.world.note("reload() onto a broken module");
    this.stage.isNextFatal = false; // nothing else may end a replica
    // Those that are in use by now
    const before = this.#alive.filter((each) =>
      this.world.now - each.readyAt > 200
    );
    // A server that can't even start rejects, and rightly so
    if (before.length === 0 || this.#underWay.size > 1) return;
    const overlaps = this.#overlaps;
    this.stage.isBroken = true;
    let isRejected = false;
    const reloaded = this.#server.reload().catch(() => isRejected = true);
    await this.#within("reload()", reloaded);
    this.stage.isBroken = false;
    if (this.#overlaps > overlaps || this.#isClosing) return;
    if (this.#hung > 0 || this.#isolates || this.#isRenewed) return;
    assert(
      before.every((each) => !each.hasExited),
      "reload() onto a broken module ended a replica",
    );
    assert(isRejected, "reload() did not reject");
  }

  /** `shutdown()`, a pause in which nobody is served, and `serveForever()`. */
  async #restart(): Promise<void> {
    this.world.note("shutdown()");
    const overlaps = this.#overlaps;
    await this.#within("shutdown()", this.#server.shutdown());
    this.#pausedSince = this.world.now;
    await this.world.sleep(this.world.below(500));
    if (overlaps === this.#overlaps && !this.#isClosing) this.#checkPause();
    // Stopped and started again before the replicas have done either
    for (let flaps = this.world.below(4); flaps > 0; flaps--) {
      void this.#serve();
      await this.world.sleep(this.world.below(6));
      await this.#within("shutdown()", this.#server.shutdown());
    }
    this.world.note("serveForever()");
    void this.#serve();
  }

  /** After `shutdown()` no handler begins, where all replicas can hear it. */
  #checkPause(): void {
    const since = this.#pausedSince!;
    this.#pausedSince = null;
    if (this.#hung > 0) return;
    // What was accepted before may still wait for a replica
    for (const { port } of this.clients.filter((c) => c.since > since)) {
      const served = this.stage.served.get(port) ?? [];
      if (served.some(({ owner }) => owner.alive)) {
        this.world.fail(`Client ${port} was served after shutdown()`);
      }
    }
  }

  async #within<T>(what: string, promise: Promise<T>): Promise<T> {
    let timer: number | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = this.world.at(
        PATIENCE_MS,
        () => reject(new Error(`${what} did not settle`)),
      );
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      this.world.cancel(timer);
    }
  }

  async #check(report: DrainReport): Promise<void> {
    const { stage, net, world } = this;
    const cutOff = new Set(
      report.aborted.map((address) => (address as Deno.NetAddr).port),
    );
    for (const client of this.clients) this.#checkClient(client, cutOff);
    for (const [port, errors] of stage.errors) {
      const lost = errors.filter((error) => error instanceof RunnerExitError);
      assert(port === 0 || lost.length <= 1, `${port} was reported lost twice`);
    }
    assert(net.left.length === 0, "a server's connection is left open");
    assert(net.listening === 0, "a listener is left open");
    assert(this.#alive.length === 0, "a replica is left");
    assert(world.pendingOf(world.root) === 0, "a timer is left");
    const stats = await this.#server.stats();
    assert(stats.open === 0, "stats() counts a request that has ended");
    const told = [...stage.served.values()].flat().filter((each) =>
      this.#isTold(each)
    );
    assert(stats.accepted >= told.length, "stats() counts too few");
  }

  /** Where a hook closes a connection, its handler does not wait for more. */
  #checkHook(port: number, told: Served[]): void {
    const closedAt = this.stage.closedAt.get(port);
    if (closedAt === undefined || this.#hung > 0) return;
    for (const { at, endedAt } of told) {
      const waited = endedAt! - Math.max(at, closedAt);
      assert(waited < 500, `${port} was closed, its handler waited ${waited}`);
    }
  }

  /**
   * Whether the parent has all that a handler has written: then it gets to the
   * client, whatever becomes of the replica.
   */
  #isTold({ owner, toldAfter }: Served): boolean {
    const runner = [...this.stage.runners].find((each) => each.owner === owner);
    return toldAfter !== null && runner !== undefined &&
      runner.fromReplica.delivered >= toldAfter;
  }

  #checkClient(client: Client, cutOff: Set<number>): void {
    const { port, received, outcome } = client;
    assert(outcome !== null, `client ${port} has no outcome`);
    assert(!client.isWrong, `client ${port} read bytes that nobody wrote`);
    const served = this.stage.served.get(port) ?? [];
    assert(served.length <= 1, `client ${port} was served twice`);
    const told = served.filter((each) => this.#isTold(each));
    for (const { lines } of served) {
      assert(
        lines.every((line, i) => line === client.lines[i]),
        `client ${port} asked for ${client.lines}, its handler read ${
          JSON.stringify(lines).slice(0, 200)
        }`,
      );
    }
    const isReported = cutOff.has(port) || this.stage.errors.has(port);
    if (this.stage.closedByHook.has(port)) {
      return this.#checkHook(port, told);
    }
    if (outcome !== "end") return;
    const written = served.at(-1)?.written ?? null;
    const isTooSlow = cutOff.has(port) ||
      this.stage.errors.get(port)?.some((e) => e.name === "TimedOut");
    const isTold = told.length > 0 && !isTooSlow;
    assert(
      written === received || (isReported && !(isTold && written !== null)),
      `client ${port} got ${received} of ${written} bytes and a clean end; ` +
        (isReported ? "the parent had them all" : "nobody was told"),
    );
  }
}

async function writeAll(conn: SimConn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) {
    sent += await conn.write(bytes.subarray(sent));
  }
}

function assert(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}

/**
 * Runs one simulation.
 *
 * @param seed What decides its course.
 * @returns Its course, the same each time.
 * @throws {Error} If something was not as it must be; it tells the seed.
 */
export async function simulate(seed: number): Promise<string[]> {
  const simulation = new Simulation(seed);
  try {
    await simulation.run();
    return simulation.world.trace;
  } catch (error) {
    const { trace, now, steps } = simulation.world;
    throw new Error(
      `Seed ${seed} fails at ${now.toFixed(0)} ms, step ${steps}: ${
        (error as Error).message
      }\n${trace.join("\n")}`,
      { cause: error },
    );
  }
}
