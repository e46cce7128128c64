/** The clients of a simulated server of connections, and what became of them. */

import type { SimConn } from "./_network.ts";
import {
  byteOf,
  isTold,
  type Served,
  SHORT_ANSWER,
  type Stage,
} from "./_server.ts";

/** What a client met. */
export interface Client {
  port: number;
  since: number;
  /** How long its bytes take, in each direction. */
  latency: number;
  /** The lines that it means to send, in order. */
  lines: string[];
  /** Whether it asks for the second thing at the last moment. */
  isLate: boolean;
  received: number;
  isWrong: boolean;
  outcome: "end" | "reset" | "left" | "refused" | null;
}

/**
 * What arrives so shortly before the server's end may cross, on its way to the
 * handler, the news that there is nothing more: a line takes up to 50 ms. While
 * its replica computes, that news takes longer.
 */
const ON_ITS_WAY_MS = 60;

/** A drain leaves a new connection more time than this. */
const FIRST_BYTE_MS = 4_500;
/** Or until so long before what is open is cut off. */
const LATE_MS = 200;

/**
 * A replica that closes looks for about so long whether more comes, before it
 * asks for the end of a connection between two requests.
 */
const LOOKING_MS = 40;
const ASKING_MS = 30;
/** How long a late client waits for a replica that closes. */
const PATIENCE_MS = 2_000;

/** How the server's life ended, for a check of its clients. */
export interface Verdict {
  /** The ports of those that it tells of as cut off. */
  cutOff: number[];
  /** How many requests it has refused, as a server does while suspended. */
  refused: number;
  /** Whether a replica has hung. */
  hasHung: boolean;
}

/** Clients of a server. */
export interface Crowd {
  /** Some come, within three seconds. */
  visit(count: number): void;
  /** Settles when all who came have left. */
  left(): Promise<unknown>;
  /** Whom a live handler serves who came after a moment; null if nobody. */
  servedSince(moment: number): number | null;
  /** Throws if something was not as it must be. */
  check(verdict: Verdict): void;
}

/** Throws unless something holds. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

/** Clients that connect. */
export class ConnCrowd implements Crowd {
  readonly clients: Client[] = [];
  #stage: Stage;
  #to: () => number;
  #talks: Promise<void>[] = [];

  /**
   * @param stage What the server and the clients have in common.
   * @param to The server's port.
   */
  constructor(stage: Stage, to: () => number) {
    this.#stage = stage;
    this.#to = to;
  }

  left(): Promise<unknown> {
    return Promise.all(this.#talks);
  }

  servedSince(moment: number): number | null {
    // What was accepted before may still wait for a replica
    const client = this.clients.find(({ since, port }) =>
      since > moment &&
      this.#stage.served.get(port)?.some(({ owner }) => owner.alive)
    );
    return client?.port ?? null;
  }

  check({ cutOff, hasHung }: Verdict): void {
    for (const client of this.clients) {
      this.#check(client, cutOff.includes(client.port), hasHung);
    }
  }

  visit(count: number): void {
    const { world, net } = this.#stage;
    for (let i = 0; i < count; i++) {
      world.at(world.below(3_000), () => {
        const latency = world.chance(0.7) ? 0 : world.chance(0.5) ? 150 : 400;
        const conn = net.connect(this.#to(), latency);
        const { port } = conn?.localAddr ?? { port: 0 };
        const isLate = world.chance(0.1);
        const client: Client = {
          port,
          since: world.now,
          latency,
          lines: isLate ? this.#planLate() : this.#plan(),
          isLate,
          received: 0,
          isWrong: false,
          outcome: conn === null ? "refused" : null,
        };
        this.clients.push(client);
        if (conn === null) return;
        if (world.chance(0.1)) {
          this.#stage.closedByHook.set(port, world.below(300));
        }
        this.#talks.push(this.#talk(client, conn));
      });
    }
  }

  /** A client's life: it asks, then reads fast, slowly, or not to the end. */
  async #talk(client: Client, conn: SimConn): Promise<void> {
    const { world } = this.#stage;
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
    const { world } = this.#stage;
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
      ? `blob ${world.below(world.chance(0.3) ? 400_000 : 100_000)}`
      : world.chance(0.1)
      ? "throw"
      : "bye";
    return [...lines, last];
  }

  /** An upload that begins when its connection is about to be ended. */
  #planLate(): string[] {
    return ["echo 9", `upload ${1 + this.#stage.world.below(9_000)}`, "bye"];
  }

  async #ask(client: Client, conn: SimConn): Promise<void> {
    const { world } = this.#stage;
    for (const [i, line] of client.lines.entries()) {
      if (client.isLate && i === 1) await this.#untilLastMoment();
      else if (world.chance(0.5)) await world.sleep(world.below(200));
      await writeAll(conn, new TextEncoder().encode(`${line}\n`));
      const [word, size] = line.split(" ");
      if (word === "upload") await this.#upload(client, conn, Number(size));
    }
    if (client.lines.length === 0) return;
    // Nobody reads it if the last was a blob
    if (world.chance(0.2)) await writeAll(conn, new Uint8Array([10]));
    if (world.chance(0.6)) await conn.closeWrite();
  }

  /** Waits until a replica may ask for the end of its connections. */
  async #untilLastMoment(): Promise<void> {
    const { world, told } = this.#stage;
    await Promise.race([told.promise, world.sleep(PATIENCE_MS)]);
    await world.sleep(LOOKING_MS + world.below(ASKING_MS));
  }

  /** Sends an upload at once, or for up to two seconds. */
  async #upload(client: Client, conn: SimConn, size: number): Promise<void> {
    const { world } = this.#stage;
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

  #check(client: Client, isCutOff: boolean, hasHung: boolean): void {
    const { port, received, outcome } = client;
    assert(outcome !== null, `client ${port} has no outcome`);
    assert(!client.isWrong, `client ${port} read bytes that nobody wrote`);
    const served = this.#stage.served.get(port) ?? [];
    assert(served.length <= 1, `client ${port} was served twice`);
    const { reloads } = this.#stage;
    for (const { at, old } of reloads.filter(({ at }) => client.since > at)) {
      assert(
        served.every(({ owner }) => !old.has(owner)),
        `client ${port} came after ${at} and was served by old code`,
      );
    }
    const told = served.filter(isTold);
    for (const { lines } of served) {
      assert(
        lines.every((line, i) => line === (client.lines[i] ?? "")),
        `client ${port} asked for ${client.lines}, its handler read ${
          JSON.stringify(lines).slice(0, 200)
        }`,
      );
    }
    const isReported = isCutOff || this.#stage.errors.has(port);
    if (this.#stage.closedByHook.has(port)) {
      return hasHung ? undefined : this.#checkHook(port, told);
    }
    if (outcome === "reset" && told.length > 0) {
      const { owner, written } = told[0]!;
      const hasDied = this.#stage.exitOf(owner) !== "returned";
      assert(
        hasDied || isReported || written === null || written === received,
        `client ${port} got ${received} of ${written} bytes and a reset`,
      );
    }
    if (outcome !== "end") return;
    this.#checkCut(client, isCutOff);
    const missing = isReported ? null : this.#missing(client);
    assert(
      missing === null,
      `client ${port} asked for ${client.lines} and got ${received} bytes: no answer to "${missing}", and nobody was told`,
    );
    const written = served.at(-1)?.written ?? null;
    const isTooSlow = isCutOff ||
      this.#stage.errors.get(port)?.some(({ name }) =>
        name === "TimedOut" || name === "ServerClosedError"
      );
    const hasAll = told.length > 0 && !isTooSlow;
    assert(
      written === received || (isReported && !(hasAll && written !== null)),
      `client ${port} asked for ${client.lines} and got ${received} of ${written} bytes and a clean end; ` +
        (isReported ? "the parent had them all" : "nobody was told"),
    );
  }

  /** No drain ends an upload, or a connection that had no time to speak. */
  #checkCut({ port, lines }: Client, isCutOff: boolean): void {
    const { errors, served, net, exitOf } = this.#stage;
    const names = errors.get(port)?.map(({ name }) => name) ?? [];
    if (isCutOff || names.includes("ServerClosedError")) return;
    assert(
      !names.includes("IncompleteReadError"),
      `client ${port} asked for ${lines}, and its upload was cut`,
    );
    const [first] = served.get(port) ?? [];
    if (lines.length === 0 || first === undefined || first.read > 0) return;
    const endedAt = net.servedOf(port)?.endedAt ?? Infinity;
    const hadTime = endedAt - first.at;
    const hasLeft = exitOf(first.owner) === "returned";
    assert(
      !hasLeft || hadTime > FIRST_BYTE_MS ||
        endedAt > this.#stage.cutOffAt - LATE_MS,
      `client ${port} had ${hadTime} ms for its first byte`,
    );
  }

  /**
   * The first request that was not answered in full although a byte of it had
   * reached the server's system before the server's end was sent.
   */
  #missing({ port, lines, received }: Client): string | null {
    const socket = this.#stage.net.servedOf(port);
    // Behind the handler's end, what it wrote is on its way to the client
    const [served] = this.#stage.served.get(port) ?? [];
    const end = served?.endedAt ?? socket?.endedAt ?? 0;
    let begin = 0;
    let expected = 0;
    for (const line of lines) {
      const arrival = socket?.arrivalOf(begin) ?? 0;
      const wait = served === undefined
        ? end - arrival
        : this.#stage.world.idleTime(served.owner, arrival, end);
      if (!(wait > ON_ITS_WAY_MS)) return null;
      const [word, text] = line.split(" ");
      const size = Number(text);
      begin += line.length + 1 + (word === "upload" ? size : 0);
      if (word === "echo" || word === "blob") expected += size;
      if (word === "upload" || word === "compute") expected += SHORT_ANSWER;
      if (received < expected) return line;
    }
    return null;
  }

  /** Where a hook closes a connection, its handler does not wait for more. */
  #checkHook(port: number, told: Served[]): void {
    const closedAt = this.#stage.closedAt.get(port);
    if (closedAt === undefined) return;
    for (const { at, endedAt } of told) {
      const waited = endedAt! - Math.max(at, closedAt);
      assert(
        waited < 1_000,
        `${port} was closed, its handler waited ${waited}`,
      );
    }
  }
}

async function writeAll(conn: SimConn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) {
    sent += await conn.write(bytes.subarray(sent));
  }
}
