/** Connections and listeners of a simulated machine. */

import type { Owner, World } from "./_world.ts";

/** One direction of a connection. */
class Direction {
  ended = false;
  /** The bytes that were read here. */
  taken = 0;
  /** How many bytes had arrived when. */
  readonly arrivals: { at: number; total: number }[] = [];
  /** Called when bytes arrive where nobody reads any more. */
  whenDeaf: () => void = () => {};
  /** What is on its way is lost. */
  #isCut = false;
  #lastRead: Promise<unknown> = Promise.resolve();
  /** Nobody reads here any more. */
  deaf = false;
  broken = false;
  #world: World;
  #bytes: Uint8Array[] = [];
  /** With those that are still on their way. */
  #length = 0;
  #capacity: number;
  #latency: number;
  #wake: (() => void) | null = null;
  #room: (() => void) | null = null;

  constructor(world: World, latency: number) {
    this.#world = world;
    this.#latency = latency;
    // As much as a second brings, at least
    this.#capacity = latency > 0 ? 1 << 17 : 1 << 10 + world.below(8);
  }

  async write(bytes: Uint8Array): Promise<number> {
    if (bytes.length === 0) return 0;
    while (!this.broken && !this.deaf && this.#length >= this.#capacity) {
      await new Promise<void>((resolve) => this.#room = resolve);
    }
    if (this.broken) throw new Deno.errors.ConnectionReset("reset");
    if (this.deaf) throw new Deno.errors.BrokenPipe("nobody reads");
    const room = this.#capacity - this.#length;
    const part = bytes.slice(0, Math.max(1, Math.min(room, bytes.length)));
    this.#length += part.length;
    this.#later(() => {
      this.#bytes.push(part);
      const { total = 0 } = this.arrivals.at(-1) ?? {};
      const at = this.#world.now;
      this.arrivals.push({ at, total: total + part.length });
      if (this.deaf) this.whenDeaf();
    });
    return part.length;
  }

  /** Ends behind what was written. */
  end(): void {
    this.#later(() => this.ended = true);
  }

  /** The system drops what has not arrived, and resets the connection. */
  reset(): void {
    this.#later(() => this.broken = true, true);
    this.#isCut = true;
  }

  get now(): number {
    return this.#world.now;
  }

  get hasUnread(): boolean {
    return this.#bytes.length > 0;
  }

  #later(arrive: () => void, always = false): void {
    if (this.#latency === 0) {
      arrive();
      return this.wake();
    }
    const world = this.#world;
    world.as(world.root, () =>
      world.at(this.#latency, () => {
        if (!this.#isCut || always) arrive();
        this.wake();
      }, { isBackground: true }));
  }

  /** Reads after those that were asked for before. */
  read(into: Uint8Array): Promise<number | null> {
    const read = this.#lastRead.then(() => this.#read(into));
    this.#lastRead = read.catch(() => {});
    return read;
  }

  async #read(into: Uint8Array): Promise<number | null> {
    while (this.#bytes.length === 0 && !this.ended && !this.broken) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    if (this.#world.chance(0.3)) await this.#world.sleep(this.#world.below(3));
    await this.#world.whenIdle();
    const first = this.#bytes.shift();
    if (first === undefined) {
      if (this.broken) throw new Deno.errors.ConnectionReset("reset");
      return null;
    }
    const count = Math.min(first.length, into.length);
    into.set(first.subarray(0, count));
    if (count < first.length) this.#bytes.unshift(first.subarray(count));
    this.#length -= count;
    this.taken += count;
    this.#room?.();
    return count;
  }

  wake(): void {
    this.#wake?.();
    this.#room?.();
  }
}

/** One end of a connection, as `Deno.TcpConn` has it. */
export class SimConn {
  readonly localAddr: Deno.NetAddr;
  readonly remoteAddr: Deno.NetAddr;
  isClosed = false;
  /** When this end sent its end. */
  endedAt: number | null = null;
  #in: Direction;
  #out: Direction;
  #interrupt: ((error: Error) => void)[] = [];

  constructor(
    ports: [local: number, remote: number],
    into: Direction,
    out: Direction,
  ) {
    const [local, remote] = ports;
    const base = { transport: "tcp", hostname: "127.0.0.1" } as const;
    this.localAddr = { ...base, port: local };
    this.remoteAddr = { ...base, port: remote };
    this.#in = into;
    this.#out = out;
  }

  /** When the byte at a place arrived; never, if it did not. */
  arrivalOf(place: number): number {
    return this.#in.arrivals.find(({ total }) => total > place)?.at ?? Infinity;
  }

  /** The bytes that were read at this end. */
  get bytesRead(): number {
    return this.#in.taken;
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#unlessClosed(() => this.#in.read(into));
  }

  write(bytes: Uint8Array): Promise<number> {
    return this.#unlessClosed(() => this.#out.write(bytes));
  }

  // deno-lint-ignore require-await -- it rejects where it fails
  async closeWrite(): Promise<void> {
    if (this.isClosed) throw new Deno.errors.BadResource("Bad resource ID");
    this.#end();
  }

  close(): void {
    if (this.isClosed) throw new Deno.errors.BadResource("Bad resource ID");
    this.isClosed = true;
    this.#end();
    this.#in.deaf = true;
    // As Linux does for a socket that is closed with bytes unread
    if (this.#in.hasUnread) this.#out.reset();
    else this.#in.whenDeaf = () => this.#out.reset();
    this.#wakeAll();
    const error = new Deno.errors.Interrupted("Operation canceled");
    for (const interrupt of this.#interrupt.splice(0)) interrupt(error);
  }

  #end(): void {
    this.endedAt ??= this.#in.now;
    this.#out.end();
  }

  /** Leaves by a reset, as a client can. */
  reset(): void {
    this.#out.broken = true;
    this.#in.broken = true;
    this.isClosed = true;
    this.#wakeAll();
  }

  setNoDelay(): void {
    this.setKeepAlive();
  }

  setKeepAlive(): void {
    if (this.isClosed) throw new Deno.errors.BadResource("Bad resource ID");
  }

  ref(): void {}
  unref(): void {}

  [Symbol.dispose](): void {
    if (!this.isClosed) this.close();
  }

  #wakeAll(): void {
    this.#in.wake();
    this.#out.wake();
  }

  #unlessClosed(act: () => Promise<number>): Promise<number>;
  #unlessClosed(act: () => Promise<number | null>): Promise<number | null>;
  #unlessClosed(act: () => Promise<number | null>): Promise<number | null> {
    if (this.isClosed) {
      return Promise.reject(new Deno.errors.BadResource("Bad resource ID"));
    }
    return new Promise((resolve, reject) => {
      this.#interrupt.push(reject);
      act().then(resolve, reject).finally(() => {
        const at = this.#interrupt.indexOf(reject);
        if (at >= 0) this.#interrupt.splice(at, 1);
      });
    });
  }
}

interface Queue {
  listeners: Set<SimListener>;
  waiting: SimConn[];
}

class SimListener {
  readonly addr: Deno.NetAddr;
  #net: Network;
  #queue: Queue;
  #pending: PromiseWithResolvers<SimConn> | null = null;
  isClosed = false;

  constructor(net: Network, addr: Deno.NetAddr, queue: Queue) {
    this.#net = net;
    this.addr = addr;
    this.#queue = queue;
    queue.listeners.add(this);
  }

  get isAccepting(): boolean {
    return this.#pending !== null;
  }

  accept(): Promise<SimConn> {
    if (this.isClosed) {
      return Promise.reject(
        new Deno.errors.BadResource("Listener has been closed"),
      );
    }
    if (this.#pending !== null) {
      return Promise.reject(new Deno.errors.Busy("Another accept"));
    }
    this.#pending = Promise.withResolvers();
    const { promise } = this.#pending;
    const next = this.#queue.waiting.shift();
    if (next !== undefined) this.take(next);
    return promise.finally(() => this.#net.world.whenIdle());
  }

  take(conn: SimConn): void {
    this.#net.accepted(conn, this);
    const pending = this.#pending!;
    this.#pending = null;
    pending.resolve(conn);
  }

  close(): void {
    if (this.isClosed) throw new Deno.errors.BadResource("Bad resource ID");
    this.isClosed = true;
    this.#queue.listeners.delete(this);
    this.#pending?.reject(
      new Deno.errors.BadResource("Listener has been closed"),
    );
    this.#pending = null;
    if (this.#queue.listeners.size === 0) this.#net.unbind(this.addr.port);
  }

  ref(): void {}
  unref(): void {}
}

/** The ports of a simulated machine, and who has accepted what. */
export class Network {
  /** Connections that a server has accepted, and the owner of their socket. */
  readonly open: Map<SimConn, Owner> = new Map();
  /** How many listeners of replicas are to fail. */
  bindFailures = 0;
  readonly world: World;
  #ports: Map<number, Queue> = new Map();
  #listeners: Map<SimListener, Owner> = new Map();
  #lastPort = 10_000;

  constructor(world: World) {
    this.world = world;
  }

  listen = (options: Deno.TcpListenOptions): Deno.TcpListener => {
    const { port = 0 } = options;
    const { owner } = this.world;
    if (owner !== this.world.root && this.bindFailures > 0) {
      this.bindFailures--;
      throw new Deno.errors.AddrNotAvailable("No such address");
    }
    const chosen = port === 0 ? ++this.#lastPort : port;
    const shares = Reflect.get(options, "loadBalanced") === true;
    let queue = this.#ports.get(chosen);
    if (queue !== undefined && !shares) {
      throw new Deno.errors.AddrInUse("Address already in use");
    }
    if (queue === undefined) {
      queue = { listeners: new Set(), waiting: [] };
      this.#ports.set(chosen, queue);
    }
    const addr = {
      transport: "tcp" as const,
      hostname: "127.0.0.1",
      port: chosen,
    };
    const listener = new SimListener(this, addr, queue);
    this.#listeners.set(listener, owner);
    return listener as unknown as Deno.TcpListener;
  };

  /**
   * A client connects; `null` where nobody listens.
   *
   * @param latency How long each byte takes, in each direction.
   */
  connect(port: number, latency = 0): SimConn | null {
    const queue = this.#ports.get(port);
    if (queue === undefined) return null;
    const [there, back] = [
      new Direction(this.world, latency),
      new Direction(this.world, latency),
    ];
    const local = ++this.#lastPort;
    const client = new SimConn([local, port], back, there);
    const served = new SimConn([port, local], there, back);
    const ready = [...queue.listeners].filter((each) => each.isAccepting);
    if (ready.length === 0) queue.waiting.push(served);
    else ready[this.world.below(ready.length)]!.take(served);
    return client;
  }

  accepted(conn: SimConn, listener: SimListener): void {
    this.open.set(conn, this.#listeners.get(listener)!);
  }

  unbind(port: number): void {
    for (const conn of this.#ports.get(port)?.waiting ?? []) conn.reset();
    this.#ports.delete(port);
  }

  /** The system closes what a dead owner had open. */
  reap(owner: Owner): void {
    for (const [listener, of] of this.#listeners) {
      if (of === owner && !listener.isClosed) listener.close();
    }
    for (const [conn, of] of this.open) {
      if (of === owner && !conn.isClosed) conn.reset();
    }
  }

  /** The server's end of a client's connection. */
  servedOf(port: number): SimConn | undefined {
    return this.open.keys().find(({ remoteAddr }) => remoteAddr.port === port);
  }

  /** The sockets that a server still has open. */
  get left(): SimConn[] {
    return [...this.open.keys()].filter((conn) => !conn.isClosed);
  }

  get listening(): number {
    return this.#ports.size;
  }
}
