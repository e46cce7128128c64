/** The server and the handler that simulations run. */

import { StreamRequestHandler, TCPServer } from "../../mod.ts";
import { prepare, role } from "../../server/_internal.ts";
import { prepareReplicas } from "../../server/replicas/plan.ts";
import { loadSet } from "../../server/replicas/replica_class.ts";
import { WINDOW } from "../../workers/relay/frames.ts";
import { type Machine, SimRunner } from "./_runner.ts";
import type { DatagramNetwork } from "./_packets.ts";
import type { Owner } from "./_world.ts";

/** What became of a request, as its handler saw it. */
export interface Served {
  owner: Owner;
  at: number;
  endedAt: number | null;
  /** How many bytes the handler had written when it ended well. */
  written: number | null;
  /** The lines that it has read. */
  lines: string[];
  /** How many bytes it has read by rfile. */
  read: number;
  /** Whether an upload was not what its client sent, or not all of it. */
  isWrong: boolean;
  /** Whether the parent must have all of them; told a little later. */
  toldAfter: number | null;
}

/** What the two halves and the checks have in common. */
export interface Stage extends Machine {
  served: Map<number, Served[]>;
  errors: Map<number, Error[]>;
  /** Clients that the server's hook closes after so many ms. */
  closedByHook: Map<number, number>;
  closedAt: Map<number, number>;
  /** When reload() resolved, and the replicas that were there when it was called. */
  reloads: { at: number; old: ReadonlySet<Owner> }[];
  /** When the server, which closes, cuts off what is open. */
  cutOffAt: number;
  /** Whether the next handler ends its replica when it has begun. */
  isNextFatal: boolean;
  datagrams: DatagramNetwork;
  /** Why a replica has ended, if it has. */
  exitOf(owner: Owner): string | undefined;
  /** How often the handler of a packet has begun, by the packet's text. */
  packets: Map<string, number>;
}

export let stage: Stage;

function runnerOf(owner: Owner): SimRunner | undefined {
  return [...stage.runners].find((runner) => runner.owner === owner);
}

/** Ends the replica whose code runs. */
export function endReplica(owner: Owner): void {
  runnerOf(owner)?.end({ code: 3, reason: "exit" });
}

/** Notes an error that a server was told of. */
export function report(error: unknown, from: Deno.Addr | null): void {
  if (!stage.world.owner.alive) return; // nobody hears it
  const port = (from as Deno.NetAddr | null)?.port ?? 0;
  stage.world.note(`error for ${port}: ${error}`);
  const all = stage.errors.get(port) ?? [];
  stage.errors.set(port, [...all, error as Error]);
}

/** Has a server's replicas run in simulated runners. */
export function prepareSim(server: never): void {
  prepareReplicas(
    server,
    SimServer.kind,
    loadSet,
    (kind, options) => new SimRunner(kind, options, stage),
  );
}

export function setStage(next: Stage): void {
  stage = next;
}

/**
 * Whether the parent has all that a handler has written: then it gets to the
 * client, whatever becomes of the replica.
 */
export function isTold({ owner, toldAfter }: Served): boolean {
  const runner = runnerOf(owner);
  return toldAfter !== null && runner !== undefined &&
    runner.fromReplica.has(toldAfter);
}

/** The byte at a place of the answer to a client. */
export function byteOf(port: number, offset: number): number {
  return port * 31 + offset * 7 & 255;
}

/**
 * What the dead do is not done: they wait, each for a promise of its own, since
 * one for all would keep every run.
 */
export function never(): Promise<never> {
  return new Promise(() => {});
}

/** The answer to an upload, and to a computation. */
export const SHORT_ANSWER = 64;
/** Longer than any pause of an upload. */
const STALL_MS = 5_000;
/** What rfile and a connection hold beside the window of the relay. */
const BUFFERED = 3 * 65_536;

/** Answers each line as its word says; ends after `blob`. */
export class SimHandler extends StreamRequestHandler {
  #written = 0;
  #served!: Served;

  get #port(): number {
    return (this.clientAddress as Deno.NetAddr).port;
  }

  override async setup() {
    const { owner, now } = stage.world;
    if (!owner.alive) return await never();
    this.#served = {
      owner,
      at: now,
      endedAt: null,
      written: null,
      lines: [],
      read: 0,
      isWrong: false,
      toldAfter: null,
    };
    const all = stage.served.get(this.#port) ?? [];
    stage.served.set(this.#port, [...all, this.#served]);
    if (stage.isNextFatal) {
      stage.isNextFatal = false;
      endReplica(owner);
    }
    await super.setup();
  }

  override async handle() {
    for await (const line of this.rfile) {
      const [word, size] = line.split(" ");
      this.#served.lines.push(line);
      this.#served.read += line.length + 1;
      if (word === "upload") await this.#take(Number(size));
      if (word === "compute") {
        stage.world.compute(Number(size));
        await this.#send(SHORT_ANSWER);
      }
      if (word === "blob") return await this.#send(Number(size));
      if (word === "throw") throw new Error("thrown by the handler");
      if (word === "echo") await this.#send(Number(size));
    }
  }

  override async finish() {
    this.#served.endedAt = stage.world.now;
    await super.finish();
    this.#served.written = this.#written;
    const { world } = stage;
    const runner = runnerOf(this.#served.owner);
    // What it says of this is gathered until the turn ends, and its close
    // comes after
    world.at(1, () => {
      this.#served.toldAfter = runner?.fromReplica.sent ?? null;
    });
  }

  /** Takes an upload, now and then slowly. */
  async #take(size: number): Promise<void> {
    const { world } = stage;
    this.#served.isWrong = true; // until it is all here
    let isRight = true;
    for (let taken = 0; taken < size;) {
      const most = Math.min(size - taken, 16_384);
      const since = world.now;
      const bytes = await this.rfile.readExact(most).finally(() => {
        // However long its client takes between two of them
        if (world.now - since > STALL_MS) {
          world.fail(`${this.#port} waited ${world.now - since} for an upload`);
        }
      });
      for (const byte of bytes) {
        isRight &&= byte === byteOf(~this.#port, taken++);
      }
      this.#served.read += most;
      this.#checkWindow();
      if (world.chance(0.1)) await world.sleep(world.below(100));
    }
    this.#served.isWrong = !isRight;
    await this.#send(SHORT_ANSWER);
  }

  /** The parent reads no more than a window ahead of the handler. */
  #checkWindow(): void {
    const { world, net } = stage;
    const taken = net.servedOf(this.#port)?.bytesRead ?? 0;
    if (taken - this.#served.read > WINDOW + BUFFERED) {
      world.fail(`${taken - this.#served.read} bytes wait for a handler`);
    }
  }

  async #send(size: number): Promise<void> {
    const port = this.#port;
    for (let left = size; left > 0;) {
      const chunk = new Uint8Array(Math.min(left, 30_000));
      for (let i = 0; i < chunk.length; i++) {
        chunk[i] = byteOf(port, this.#written + i);
      }
      await this.wfile.write(chunk);
      this.#written += chunk.length;
      left -= chunk.length;
    }
  }
}

export class SimServer extends TCPServer {
  static kind: "thread" | "process" = "thread";

  override verifyRequest(request: Deno.TcpConn, from: Deno.Addr): boolean {
    const after = stage.closedByHook.get((from as Deno.NetAddr).port);
    if (after !== undefined) {
      stage.world.at(after, () => {
        stage.closedAt.set((from as Deno.NetAddr).port, stage.world.now);
        request[Symbol.dispose]();
      });
    }
    return true;
  }

  override handleError(
    error: unknown,
    _request: Deno.TcpConn | null,
    from: Deno.Addr | null,
  ): void {
    report(error, from);
  }

  async reload(): Promise<void> {
    await this[role].reload();
  }

  override [prepare](): void {
    prepareSim(this as never);
  }
}
