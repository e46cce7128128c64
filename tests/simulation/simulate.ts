/**
 * Runs a server and its replicas under a scheduler with a seed, and checks that
 * nothing is lost and nothing waits.
 */

import { restoreClock } from "./_still_clock.ts";
// The first import() of it would take real time
import "../../server/replicas/replica_set.ts";
import { RunnerExitError, ServerClosedError } from "../../mod.ts";
import { MAX_FAILURES } from "../../workers/runner/supervisor.ts";
import type { DrainReport } from "../../server/options.ts";
import { assert, ConnCrowd, type Crowd } from "./_crowd.ts";
import { Network } from "./_network.ts";
import {
  DatagramNetwork,
  PacketCrowd,
  SimPacketHandler,
  SimPacketServer,
} from "./_packets.ts";
import type { SimRunner } from "./_runner.ts";
import {
  isTold,
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

class Simulation {
  readonly world: World;
  readonly net: Network;
  readonly stage: Stage;
  #people: Owner = { name: "clients", alive: true };
  #server!: SimServer | SimPacketServer;
  #usesPackets = false;
  #crowd!: Crowd;
  #hung = 0;
  #isolates = false;
  /** Whether replicas leave by themselves. */
  #isRenewed = false;
  #pausedSince: number | null = null;
  /** The troubles under way, which may overlap. */
  #underWay: Set<string> = new Set();
  #overlaps = 0;
  #isClosing = false;
  #triesAgain = false;
  #isSuspended = false;
  #wasReady = false;

  constructor(seed: number) {
    this.world = new World(seed);
    this.net = new Network(this.world);
    this.stage = {
      world: this.world,
      net: this.net,
      modules: { SimHandler, SimServer, SimPacketHandler, SimPacketServer },
      isBroken: false,
      runners: new Set(),
      told: Promise.withResolvers(),
      served: new Map(),
      isNextFatal: false,
      errors: new Map(),
      closedByHook: new Map(),
      closedAt: new Map(),
      reloads: [],
      cutOffAt: Infinity,
      datagrams: new DatagramNetwork(this.world),
      packets: new Map(),
      exitOf: (owner) =>
        [...this.stage.runners].find((each) => each.owner === owner)
          ?.exitReason,
    };
  }

  async run(): Promise<void> {
    const { listen, listenDatagram } = Deno;
    Deno.listen = this.net.listen as typeof Deno.listen;
    Deno.listenDatagram = this.stage.datagrams
      .listenDatagram as typeof Deno.listenDatagram;
    setStage(this.stage);
    try {
      await this.world.run(() => this.#main());
    } finally {
      Object.assign(Deno, { listen, listenDatagram });
    }
  }

  async #main(): Promise<void> {
    const { world } = this;
    SimServer.kind = world.chance(0.7) ? "thread" : "process";
    this.#usesPackets = world.chance(0.15);
    const canShard = SimServer.kind === "thread" && !this.#usesPackets &&
      world.chance(0.5);
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
    this.#server = this.#usesPackets
      ? new SimPacketServer({ port: 0 }, SimPacketHandler, options)
      : new SimServer({ port: 0 }, SimHandler, options);
    const to = () => this.#server.serverAddress.port;
    this.#crowd = this.#usesPackets
      ? new PacketCrowd(this.stage, to)
      : new ConnCrowd(this.stage, to);
    this.#server.ready.then(() => this.#wasReady = true, () => {});
    const serving = this.#serve();
    world.as(this.#people, () => this.#crowd.visit(4 + world.below(12)));
    const troubles = this.#makeTroubles(1 + world.below(4));
    troubles.catch(() => {}); // awaited in a moment
    await world.sleep(world.below(4_000));
    if (world.chance(0.7)) await this.#within("the troubles", troubles);
    const reload = world.chance(0.2) ? this.#reloadSoon() : null;
    reload?.catch(() => {}); // awaited in the end
    const report = await this.#within("serverClose()", this.#close());
    assert(this.#alive.length === 0, "serverClose() left a replica");
    const runners = this.stage.runners.size;
    await this.#within("the troubles", troubles);
    await reload;
    await this.#within("serveForever()", serving);
    await this.#within("the clients", this.#crowd.left());
    await world.sleep(1_000); // what dies takes a moment
    assert(
      this.stage.runners.size === runners,
      "a replica was started after serverClose()",
    );
    await this.#check(report);
  }

  async #serve(): Promise<void> {
    let error: unknown = null;
    await this.#server.serveForever().catch((thrown) => error = thrown);
    if (this.#isClosing && error instanceof ServerClosedError) return;
    if (error instanceof TypeError && error.message.includes("suspended")) {
      // It refuses to serve then
      do await this.world.sleep(1); while (this.#isSuspended);
      this.#triesAgain = true;
      return await this.#serve();
    }
    // As documented: five have died in a row, and none was ever ready
    const died = [...this.stage.runners].filter(({ exitReason }) => exitReason);
    if (
      error instanceof RunnerExitError && !this.#wasReady &&
      died.length >= MAX_FAILURES
    ) {
      this.world.note(`serveForever() gave up: ${error.message}`);
      return await this.#serve();
    }
    // Who tries again may be ahead of another restart, or come after it
    if (this.#triesAgain && error instanceof TypeError) return;
    if (error !== null) this.world.fail(`serveForever() rejected: ${error}`);
  }

  #close(): Promise<DrainReport> {
    this.world.note("serverClose()");
    this.stage.cutOffAt = this.world.now + SHUTDOWN_TIMEOUT_MS;
    this.#isClosing = true;
    return this.#server.serverClose();
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
      () => this.#breakForAWhile(),
      () => this.#reloadSoon(),
      () => this.#reloadSoon(),
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
    const { world, stage } = this;
    world.note("reload()");
    const old = new Set([...stage.runners].map(({ owner }) => owner));
    const reloaded = this.#server.reload().then(() => {
      // A server that closes replaces nothing
      if (!this.#isClosing) stage.reloads.push({ at: world.now, old });
    });
    // It rejects where a replica dies while it starts
    await this.#within("reload()", reloaded.catch(() => {}));
  }

  /** `reload()` once or twice, a moment later. */
  async #reloadSoon(): Promise<void> {
    for (let count = 1 + this.world.below(2); count > 0; count--) {
      const first = count === 2 ? this.#reload() : null;
      first?.catch(() => {}); // awaited in a moment
      await this.world.sleep(this.world.below(30));
      await this.#reload();
      await first;
    }
  }

  async #breakModule(): Promise<void> {
    this.world.note("reload() onto a broken module");
    this.stage.isNextFatal = false; // nothing else may end a replica
    // Those that are in use by now, and shall stay
    const before = this.#alive.filter((each) =>
      !each.isTold && this.world.now - each.readyAt > 200
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

  /** Replicas end while the module can't be loaded, and others take over. */
  async #breakForAWhile(): Promise<void> {
    if (!this.#wasReady) return; // it would rightly give up
    this.world.note("the module breaks");
    this.stage.isBroken = true;
    await this.world.sleep(this.world.below(50));
    this.#killOne();
    await this.world.sleep(this.world.below(2_000));
    this.world.note("the module is mended");
    this.stage.isBroken = false;
  }

  /** `shutdown()`, a pause in which nobody is served, and `serveForever()`. */
  async #restart(): Promise<void> {
    this.world.note("shutdown()");
    const { size } = this.#underWay;
    const overlaps = this.#overlaps;
    await this.#within("shutdown()", this.#server.shutdown());
    this.#pausedSince = this.world.now;
    await this.world.sleep(this.world.below(500));
    // A suspension under way may serve the queue of its listener
    const isAlone = size === 1 && overlaps === this.#overlaps;
    if (isAlone && !this.#isClosing) this.#checkPause();
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
    const port = this.#crowd.servedSince(since);
    if (port !== null) {
      this.world.fail(`Client ${port} was served after shutdown()`);
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
    const cutOff = report.aborted.map((from) => (from as Deno.NetAddr).port);
    const stats = await this.#server.stats();
    const { refused } = stats;
    this.#crowd.check({ cutOff, refused, hasHung: this.#hung > 0 });
    assert(net.left.length === 0, "a server's connection is left open");
    const { port } = this.#server.serverAddress;
    const listens = net.listening > 0 || stage.datagrams.isBound(port);
    assert(!listens, "it still listens");
    assert(this.#alive.length === 0, "a replica is left");
    assert(world.pendingOf(world.root) === 0, "a timer is left");
    assert(stats.open === 0, "stats() counts a request that has ended");
    const told = [...stage.served.values()].flat().filter(isTold);
    assert(stats.accepted >= told.length, "stats() counts too few");
  }
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
