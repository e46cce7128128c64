/** A runner without a thread: a replica's half runs in the same isolate. */

import type { Boot } from "../../server/replicas/protocol.ts";
import { runReplica } from "../../server/replicas/main.ts";
import {
  ModuleImportError,
  type RunnerExit,
} from "../../workers/base/errors.ts";
import {
  Inbox,
  Lifecycle,
  type MessageHandler,
  type Runner,
  type RunnerKind,
  type RunnerOptions,
  type RunnerPort,
} from "../../workers/runner/runner.ts";
import { Op, readFrames } from "../../workers/relay/frames.ts";
import type { Network } from "./_network.ts";
import type { Owner, World } from "./_world.ts";

const OPENINGS: ReadonlySet<number> = new Set([Op.open, Op.packet]);

/** Delivers in order, each message when it likes, several at a time. */
class Line {
  sent = 0;
  delivered = 0;
  #world: World;
  #queue: (() => void)[] = [];
  #isScheduled = false;
  #deliverAs: Owner;
  /** Of those sent, how many a sender that dies has written already. */
  #written = 0;
  /** The last that a sender that died has written. */
  #last = Infinity;

  constructor(world: World, deliverAs: Owner) {
    this.#world = world;
    this.#deliverAs = deliverAs;
  }

  send(deliver: () => void): void {
    this.sent++;
    this.#queue.push(deliver);
    this.#schedule();
  }

  /** Settles when the system has what was sent, which outlives the sender. */
  written(): Promise<void> {
    if (this.#written === this.sent) return Promise.resolve();
    const world = this.#world;
    const upTo = this.sent;
    return new Promise((resolve) =>
      world.at(world.below(3), () => {
        this.#written = Math.max(this.#written, upTo);
        resolve();
      })
    );
  }

  /** Whether a message has arrived. What tells of a death is none. */
  has(number: number): boolean {
    return number <= Math.min(this.delivered, this.#last);
  }

  /** The sender has died: what it has not written is gone. */
  cut(): void {
    this.#queue.length = Math.max(0, this.#written - this.delivered);
    this.#last = this.delivered + this.#queue.length;
  }

  /** The sender has died, and what has not arrived with it. */
  clear(): void {
    this.#queue = [];
    this.#last = this.delivered;
  }

  #schedule(): void {
    if (this.#isScheduled || this.#queue.length === 0) return;
    this.#isScheduled = true;
    const world = this.#world;
    const delay = world.lag +
      (world.chance(0.05) ? world.below(50) : world.below(3));
    world.as(this.#deliverAs, () => world.at(delay, () => this.#deliver()));
  }

  /** Several that arrive in one read are delivered in one turn. */
  #deliver(): void {
    this.#isScheduled = false;
    let count = this.#world.chance(0.5) ? 1 : 1 + this.#world.below(8);
    while (count-- > 0 && this.#queue.length > 0) {
      this.delivered++;
      this.#written = Math.max(this.#written, this.delivered);
      this.#queue.shift()!();
    }
    this.#schedule();
  }
}

/** What all simulated runners of a run have in common. */
export interface Machine {
  world: World;
  net: Network;
  modules: Record<string, unknown>;
  /** Whether the user's module can't be loaded now. */
  isBroken: boolean;
  runners: Set<SimRunner>;
  /** Resolves when the next of them is told to close. */
  told: PromiseWithResolvers<void>;
}

export class SimRunner implements Runner {
  readonly kind: RunnerKind;
  readonly backlog = 0;
  readonly owner: Owner;
  /** It does nothing any more. */
  isHung = false;
  /** It was told to close. */
  isTold = false;
  readyAt = Infinity;
  readonly fromReplica: Line;
  readonly toReplica: Line;
  #machine: Machine;
  #lifecycle: Lifecycle;
  #inbox: Inbox;
  #port: SimPort;
  #exit: RunnerExit | null = null;
  /** Nothing of it arrives any more. */
  #isOver = false;

  constructor(kind: RunnerKind, options: RunnerOptions, machine: Machine) {
    const { world } = machine;
    this.kind = kind;
    this.#machine = machine;
    const number = machine.runners.size + 1;
    this.owner = { name: `replica ${number}`, alive: true };
    this.fromReplica = new Line(world, world.root);
    this.toReplica = new Line(world, this.owner);
    this.#lifecycle = new Lifecycle(kind);
    this.#inbox = new Inbox((error) => this.fail(error));
    this.#port = new SimPort(kind, this);
    machine.runners.add(this);
    const data = structuredClone(options.data);
    world.as(this.owner, () => {
      world.at(world.below(40), () => this.#main(data as Boot));
    });
  }

  get ready(): Promise<void> {
    return this.#lifecycle.ready;
  }

  get exited(): Promise<RunnerExit> {
    return this.#lifecycle.exited;
  }

  get exitReason(): string | undefined {
    return this.#exit?.reason;
  }

  get hasExited(): boolean {
    return this.#exit !== null;
  }

  get onmessage(): MessageHandler | null {
    return this.#inbox.onmessage;
  }

  set onmessage(handler: MessageHandler | null) {
    this.#inbox.onmessage = handler;
  }

  post(message: unknown, transfer?: Transferable[]): void {
    if (this.isTold && this.#isOpening(message)) {
      const { world } = this.#machine;
      world.fail(`${this.owner.name} was given a request after "close"`);
    }
    if (!this.isTold && Array.isArray(message) && message[0] === "close") {
      this.isTold = true;
      this.#machine.told.resolve();
      this.#machine.told = Promise.withResolvers();
    }
    if (this.#exit !== null) return;
    const copy = structuredClone(message, { transfer: transfer ?? [] });
    this.toReplica.send(() => {
      if (!this.isHung && this.#exit === null) this.#port.inbox.deliver(copy);
    });
  }

  terminate(): void {
    this.kill();
  }

  kill(): void {
    // A thread in a loop can't be ended, and counts as ended after a while
    const delay = this.isHung && this.kind === "thread" ? 500 : 0;
    const { world } = this.#machine;
    world.as(world.root, () => {
      world.at(delay, () => this.end({ code: 1, reason: "terminated" }));
    });
  }

  /** The replica refuses what its parent says. */
  failPort(error: Error): void {
    const { world } = this.#machine;
    world.fail(`${this.owner.name} can't take a message: ${error.stack}`);
  }

  fail(thrown: unknown): void {
    const error = thrown as Error;
    this.end({ code: 1, reason: "protocol", error });
  }

  ref(): void {}
  unref(): boolean {
    return true;
  }

  /** Says something to the parent. */
  say(message: unknown, transfer?: Transferable[]): void {
    if (this.#exit !== null || this.isHung) return;
    const copy = structuredClone(message, { transfer: transfer ?? [] });
    this.fromReplica.send(() => {
      if (!this.#isOver) this.#inbox.deliver(copy);
    });
  }

  /** Leaves of its own accord, behind what it has said. */
  leave(exit: RunnerExit): void {
    if (!this.isHung) this.fromReplica.send(() => this.end(exit));
  }

  /**
   * Dies at once. What was on its way to the parent is gone, but for what a
   * process had written.
   */
  end(exit: RunnerExit): void {
    if (this.#exit !== null) return;
    this.#exit = exit;
    const { world, net } = this.#machine;
    world.note(`${this.owner.name} ends: ${exit.reason}`);
    if (exit.reason === "protocol") {
      world.fail(`${this.owner.name} broke the protocol: ${exit.error}`);
    }
    this.owner.alive = false;
    const isLost = this.kind === "thread" || exit.reason === "protocol";
    if (isLost) this.fromReplica.clear();
    else this.fromReplica.cut();
    this.#isOver = isLost;
    world.as(world.root, () => {
      net.reap(this.owner);
      world.at(world.below(20), () => {
        this.fromReplica.send(() => {
          this.#isOver = true;
          this.#lifecycle.end(exit);
        });
      });
    });
  }

  /** Whether a message of the relay gives it a request. */
  #isOpening(message: unknown): boolean {
    let isOne = false;
    if (message instanceof Uint8Array) {
      readFrames(message, (op) => isOne ||= OPENINGS.has(op));
    }
    return isOne;
  }

  #main(boot: Boot): void {
    const { isBroken, modules } = this.#machine;
    if (isBroken) {
      const error = new ModuleImportError("Cannot import: broken", null);
      return this.leave({ code: 1, reason: "import", error });
    }
    const end = (error: unknown) =>
      this.leave({ code: 1, reason: "error", error: error as Error });
    try {
      runReplica(this.#port, [modules, modules], boot).catch(end);
    } catch (error) {
      return end(error);
    }
    this.fromReplica.send(() => {
      this.readyAt = this.#machine.world.now;
      this.#lifecycle.becomeReady();
    });
  }
}

class SimPort implements RunnerPort {
  readonly kind: RunnerKind;
  readonly backlog = 0;
  readonly inbox: Inbox;
  #runner: SimRunner;

  constructor(kind: RunnerKind, runner: SimRunner) {
    this.kind = kind;
    this.#runner = runner;
    this.inbox = new Inbox((error) => runner.failPort(error as Error));
  }

  get onmessage(): MessageHandler | null {
    return this.inbox.onmessage;
  }

  set onmessage(handler: MessageHandler | null) {
    this.inbox.onmessage = handler;
  }

  post(message: unknown, transfer?: Transferable[]): void {
    this.#runner.say(message, transfer);
  }

  flushed(): Promise<void> {
    if (this.#runner.hasExited) return new Promise(() => {});
    return this.kind === "thread"
      ? Promise.resolve()
      : this.#runner.fromReplica.written();
  }

  sendNow(): void {}

  close(): void {
    this.#runner.leave({ code: 0, reason: "returned" });
  }
}
