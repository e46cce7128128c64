/** Datagrams of a simulated machine, and the server and handler of packets. */

import { DatagramRequestHandler, UDPServer } from "../../mod.ts";
import { prepare, role } from "../../server/_internal.ts";
import { assert, type Crowd, type Verdict } from "./_crowd.ts";
import {
  endReplica,
  never,
  prepareSim,
  report,
  type Stage,
  stage,
} from "./_server.ts";
import type { World } from "./_world.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

type Packet = [packet: Uint8Array, from: Deno.NetAddr];

/** One UDP socket. */
export class SimDatagram {
  readonly addr: Deno.NetAddr;
  isClosed = false;
  #net: DatagramNetwork;
  #queue: Packet[] = [];
  #pending: PromiseWithResolvers<void> | null = null;

  constructor(net: DatagramNetwork, addr: Deno.NetAddr) {
    this.#net = net;
    this.addr = addr;
  }

  arrive(packet: Packet): void {
    this.#queue.push(packet);
    this.#pending?.resolve();
  }

  async receive(into?: Uint8Array): Promise<Packet> {
    if (this.isClosed) throw new Deno.errors.BadResource("Bad resource ID");
    while (this.#queue.length === 0) {
      this.#pending = Promise.withResolvers();
      await this.#pending.promise;
    }
    const [packet, from] = this.#queue.shift()!;
    this.#net.received.add(decoder.decode(packet));
    if (into === undefined) return [packet, from];
    into.set(packet);
    return [into.subarray(0, packet.length), from];
  }

  // deno-lint-ignore require-await -- it rejects where it fails
  async send(packet: Uint8Array, to: Deno.Addr): Promise<number> {
    if (this.isClosed) throw new Deno.errors.BadResource("Bad resource ID");
    this.#net.carry(packet.slice(), this.addr, (to as Deno.NetAddr).port);
    return packet.length;
  }

  close(): void {
    if (this.isClosed) throw new Deno.errors.BadResource("Bad resource ID");
    this.isClosed = true;
    this.#net.unbind(this);
    const error = new Deno.errors.BadResource("Socket has been closed");
    this.#pending?.reject(error);
  }

  ref(): void {}
  unref(): void {}
}

/** The UDP ports of a simulated machine. */
export class DatagramNetwork {
  /** The packets that a socket has given to its program. */
  readonly received: Set<string> = new Set();
  #world: World;
  #sockets: Map<number, SimDatagram> = new Map();
  #lastPort = 20_000;

  constructor(world: World) {
    this.#world = world;
  }

  listenDatagram = (options: unknown): Deno.DatagramConn => {
    const { port = 0 } = options as Deno.UdpListenOptions;
    return this.open(port) as unknown as Deno.DatagramConn;
  };

  /** Opens a socket; port 0 stands for any that is free. */
  open(wanted: number): SimDatagram {
    const port = wanted === 0 ? ++this.#lastPort : wanted;
    if (this.#sockets.has(port)) {
      throw new Deno.errors.AddrInUse("Address already in use");
    }
    const socket = new SimDatagram(this, {
      transport: "udp",
      hostname: "127.0.0.1",
      port,
    });
    this.#sockets.set(port, socket);
    return socket;
  }

  carry(packet: Uint8Array, from: Deno.NetAddr, to: number): void {
    const world = this.#world;
    const delay = world.lag + world.below(3);
    world.as(
      world.root,
      () =>
        world.at(delay, () => this.#sockets.get(to)?.arrive([packet, from])),
    );
  }

  unbind({ addr }: SimDatagram): void {
    this.#sockets.delete(addr.port);
  }

  isBound(port: number): boolean {
    return this.#sockets.has(port);
  }
}

/** Answers `PORT NUMBER WORD SIZE` by as many packets as the word says. */
export class SimPacketHandler extends DatagramRequestHandler {
  override async handle(): Promise<void> {
    const { world, packets, isNextFatal } = stage;
    const { owner } = world;
    if (!owner.alive) return await never();
    const text = decoder.decode(this.packet);
    packets.set(text, (packets.get(text) ?? 0) + 1);
    world.note(`${owner.name} begins "${text}"`);
    if (isNextFatal) {
      stage.isNextFatal = false;
      endReplica(owner);
      return await never();
    }
    const [, , word, size] = text.split(" ");
    if (word === "throw") throw new Error("thrown by the handler");
    if (word === "compute") world.compute(Number(size));
    if (word === "late") await world.sleep(Number(size));
    const count = word === "many" ? Number(size) : word === "silent" ? 0 : 1;
    for (let i = 0; i < count; i++) {
      const reply = encoder.encode(`${text} ${i}`);
      await this.socket.send(reply, this.clientAddress);
    }
  }
}

export class SimPacketServer extends UDPServer {
  override handleError(
    error: unknown,
    _request: unknown,
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

/** What became of a packet. */
interface Sent {
  text: string;
  from: number;
  at: number;
  answers: string[];
}

/** Clients that send packets. */
export class PacketCrowd implements Crowd {
  #stage: Stage;
  #to: () => number;
  #sent: Sent[] = [];
  #visits: Promise<void>[] = [];
  #sockets: SimDatagram[] = [];
  #isOver = false;

  /**
   * @param stage What the server and the clients have in common.
   * @param to The server's port.
   */
  constructor(stage: Stage, to: () => number) {
    this.#stage = stage;
    this.#to = to;
  }

  visit(count: number): void {
    const { world } = this.#stage;
    for (let i = 0; i < count; i++) {
      world.at(world.below(3_000), () => {
        if (!this.#isOver) this.#visits.push(this.#send(1 + world.below(6)));
      });
    }
  }

  async left(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#visits);
    // The last answers are on their way
    await this.#stage.world.sleep(10);
    for (const socket of this.#sockets) socket.close();
  }

  servedSince(_moment: number): number | null {
    return null; // a packet may lie in the socket since before
  }

  async #send(count: number): Promise<void> {
    const { world, datagrams } = this.#stage;
    const socket = datagrams.open(0);
    this.#sockets.push(socket);
    const sent: Sent[] = [];
    void this.#receive(socket, sent);
    for (let i = 0; i < count; i++) {
      const word = WORDS[world.below(WORDS.length)]!;
      const size = word === "many" ? 2 + world.below(3) : world.below(300);
      const from = socket.addr.port;
      const text = `${from} ${i} ${word} ${size}`;
      const one = { text, from, at: world.now, answers: [] };
      sent.push(one);
      this.#sent.push(one);
      const hostname = "127.0.0.1";
      const port = this.#to();
      const to = { transport: "udp" as const, hostname, port };
      await socket.send(encoder.encode(text), to);
      if (world.chance(0.5)) await world.sleep(world.below(100));
    }
  }

  async #receive(socket: SimDatagram, sent: Sent[]): Promise<void> {
    try {
      for (;;) {
        const answer = decoder.decode((await socket.receive())[0]);
        const at = answer.lastIndexOf(" ");
        const one = sent.find(({ text }) => text === answer.slice(0, at));
        if (one === undefined) {
          this.#stage.world.fail(`"${answer}" came to the wrong client`);
        }
        one?.answers.push(answer.slice(at + 1));
      }
    } catch {
      // It was closed
    }
  }

  check({ cutOff, refused }: Verdict): void {
    const { datagrams, errors, packets } = this.#stage;
    let unnamed = refused;
    const excuses = cutOff.slice();
    for (const [port, all] of errors) excuses.push(...all.map(() => port));
    for (const { text, from, answers } of this.#sent) {
      assert((packets.get(text) ?? 0) <= 1, `"${text}" was served twice`);
      assert(
        new Set(answers).size === answers.length,
        `"${text}" was answered twice`,
      );
      // Those still in the socket when it was closed are lost, as packets may be
      if (!datagrams.received.has(text)) continue;
      if (answers.length === answersTo(text)) continue;
      const at = excuses.indexOf(from);
      assert(
        at >= 0 || unnamed-- > 0,
        `"${text}" got ${answers.length} answers, and nobody was told`,
      );
      if (at >= 0) excuses.splice(at, 1);
    }
  }
}

const WORDS = ["echo", "echo", "many", "silent", "late", "compute", "throw"];

/** How many packets answer a text. */
function answersTo(text: string): number {
  const [, , word, size] = text.split(" ");
  return word === "many" ? Number(size) : word === "silent" ? 0 : 1;
}
