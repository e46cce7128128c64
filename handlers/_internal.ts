/**
 * What servers, handlers, readers and writers share: the calls between them,
 * clocks, the text of addresses, and signals for commands. The calls are
 * symbols: user classes can't collide with them.
 *
 * @module
 */

/** Server to handler: time is up, give up. */
export const abort: unique symbol = Symbol("abort");
/** Server to handler: the request is over, clear timers. */
export const release: unique symbol = Symbol("release");
/**
 * Of a handler: how long it may take to end after an abort, in milliseconds.
 * Absent, it is the server's own short time.
 */
export const grace: unique symbol = Symbol("grace");
/**
 * Of a handler: whether it reads only so that it never misses what the client
 * sends. Then a client that sends nothing keeps nobody waiting.
 */
export const readsAhead: unique symbol = Symbol("readsAhead");
/** Of a handler: its client's address, as the server got it. */
export const client: unique symbol = Symbol("client");
/**
 * Of a handler's class: whether it answers any packet. Two servers of that kind
 * would answer each other for ever, so it gets no packets of servers.
 */
export const answersAll: unique symbol = Symbol("answersAll");
/** Handler to reader: the writer to flush before a wait. */
export const pair: unique symbol = Symbol("pair");
/** To a writer: send the buffered bytes; nobody awaits it. */
export const sendHeld: unique symbol = Symbol("sendHeld");
/** Handler to writer: send the buffered bytes, report an unreported failure. */
export const finish: unique symbol = Symbol("finish");
/** Handler to a packet's writer: the reply; `null` if nothing was written. */
export const takeReply: unique symbol = Symbol("takeReply");
/** The key of a datagram request's bytes in their receive buffer. */
export const received: unique symbol = Symbol("received");
/** Asks a writer: is its buffer so full that the reader must wait as well? */
export const crowded: unique symbol = Symbol("crowded");
/** Asks a writer for a promise that settles when the reader may go on. */
export const room: unique symbol = Symbol("room");
/** The key of a connection's {@linkcode Watch}. */
export const watch: unique symbol = Symbol("watch");

/** Takes the outcome of one read. */
export interface ReadSink {
  /** The number of bytes, or `null` at the end. */
  onRead(count: number | null): void;
  onError(error: unknown): void;
  /** The handler has ended: nobody may be left to handle an error. */
  onOver(): void;
}

/** Sees the reads and writes of a connection. */
export interface Watch {
  /** The reader that reads ahead of the handler, once there is one. */
  reader: { readonly isIdle: boolean } | null;
  /** The writer to flush before the end of the handler's side. */
  writer: { flush(): Promise<void> } | null;
  /** Begins a read that a drain can end. */
  receive(into: Uint8Array, sink: ReadSink): void;
  /** The handler says whether it is in the middle of a request. */
  mark(inRequest: boolean): void;
  /** The handler has ended. */
  release(): void;
}

/** The watch of a connection; `null` if there is none. */
export function watchOf(conn: unknown): Watch | null {
  return (conn as { [watch]?: Watch } | null)?.[watch] ?? null;
}

/** A packet's bytes. Read them, but don't keep them: the buffer is shared. */
export function bytesOf(
  request: { packet: Uint8Array; [received]?: Uint8Array },
): Uint8Array {
  return request[received] ?? request.packet;
}

/** A source of time and timers. */
export interface Clock {
  /** The time in milliseconds since any fixed moment. */
  now(): number;
  /** Calls `run` after `ms`. Returns a function that cancels it. */
  after(ms: number, run: () => void): () => void;
}

/** The key of a connection's own clock. */
export const clock: unique symbol = Symbol("clock");

/** The system's time. */
const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

/**
 * How long the system needs to pass on bytes that have arrived. After a stall
 * of the event loop timers fire before them: what is late then is looked at
 * again after this time.
 */
export const ARRIVAL_MS = 10;

/** The clock of a connection. */
export function clockOf(connection: unknown): Clock {
  return (connection as { [clock]?: Clock })[clock] ?? SYSTEM_CLOCK;
}

/** A longer timer would fire at once. */
export const MAX_TIMEOUT_MS: number = 2 ** 31 - 1;

/** Calls back once an operation has been pending for `timeout` ms. */
export class IdleTimer {
  readonly timeout: number;
  #expire: () => void;
  #clock: Clock;
  #since = -1;
  #cancel: (() => void) | null = null;

  constructor(
    timeout: number,
    expire: () => void,
    clock: Clock = SYSTEM_CLOCK,
  ) {
    this.timeout = timeout;
    this.#expire = expire;
    this.#clock = clock;
  }

  /** An operation has begun to wait. */
  begin(): void {
    this.#since = this.#clock.now();
    this.#cancel ??= this.#clock.after(this.timeout, this.#look);
  }

  /** The operation has ended. */
  end(): void {
    this.#since = -1;
  }

  /** No operation will follow: clears the timer. */
  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#since = -1;
  }

  #look = (): void => {
    this.#cancel = null;
    const since = this.#since;
    if (since < 0) return;
    const left = since + this.timeout - this.#clock.now();
    if (left > 0) {
      this.#cancel = this.#clock.after(left, this.#look);
      return;
    }
    const grace = this.#clock === SYSTEM_CLOCK ? ARRIVAL_MS : 0;
    this.#cancel = this.#clock.after(grace, () => {
      if (this.#since !== since) return this.#look();
      this.#cancel = null;
      this.#expire();
    });
  };
}

/**
 * Formats an address as text.
 *
 * @example Usage
 * ```ts
 * import { formatAddress } from "@socketserver/socketserver";
 * import { assertEquals } from "@std/assert";
 *
 * const address = { transport: "tcp", hostname: "::1", port: 80 } as const;
 * assertEquals(formatAddress(address), "[::1]:80");
 * ```
 *
 * @param address The address of a socket.
 * @returns `"127.0.0.1:80"`, `"[::1]:80"`, or the path of a Unix socket, with
 * `@` for an abstract one and control characters escaped.
 */
export function formatAddress(address: Deno.Addr): string {
  if ("hostname" in address) {
    const { hostname, port } = address;
    return hostname.includes(":")
      ? `[${hostname}]:${port}`
      : `${hostname}:${port}`;
  }
  if ("path" in address) return formatPath(address.path);
  return JSON.stringify(address);
}

/** A client chooses its path: it must not write to the terminal or the log. */
function formatPath(path: string): string {
  if (!path) return "an unnamed socket";
  return escapeControls(path.replace(/^\0/, "@"));
}

/** Writes characters that control a terminal or end a line as `\\u….` */
export function escapeControls(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    const units = Array.from({ length: character.length }, (_, i) => i);
    return units.map((i) =>
      `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`
    ).join("");
  });
}

const PRINT: PropertyDescriptor = {
  value: print,
  writable: true,
  configurable: true,
  enumerable: false,
};

/**
 * Makes `${address}` give its text; Deno's own addresses throw there. The
 * method is the object's own, because tests compare prototypes, and hidden, so
 * that it neither shows nor crosses to a thread.
 */
export function printable<A extends Deno.Addr>(address: A): A {
  if (address.toString !== print && Object.isExtensible(address)) {
    Object.defineProperty(address, "toString", PRINT);
  }
  return address;
}

/** The addresses of clients whose handlers have ended, by their ports. */
const clients: Map<number, Deno.Addr> = new Map();
const MAX_CLIENTS = 1_024;
const PRINT_CLIENT = { ...PRINT, value: printClient };

/**
 * A printable address like the one given, until {@linkcode giveBackAddress}.
 * One packet of a client has it after the other: to make an address printable
 * takes a tenth of the time of a packet. Only handlers have it.
 */
export function printableLike<A extends Deno.Addr>(address: A): A {
  if (address.toString === printClient) return address;
  if (address.transport !== "udp" || address.toString === print) {
    return printable(address);
  }
  const { hostname, port, transport } = address;
  const known = clients.get(port);
  if (known !== undefined) {
    // A handler may change the address, so no two may share it
    clients.delete(port);
    const isSame = known.transport === "udp" && known.hostname === hostname &&
      known.port === port;
    if (isSame) return known as Deno.Addr as A;
  }
  const copy = { hostname, port, transport };
  return Object.defineProperty(
    copy,
    "toString",
    PRINT_CLIENT,
  ) as Deno.Addr as A;
}

/** The handler that had the address has ended. */
export function giveBackAddress(address: Deno.Addr): void {
  if (address.toString !== printClient || address.transport !== "udp") return;
  if (clients.size >= MAX_CLIENTS) clients.clear();
  clients.set(address.port, address);
}

function print(this: Deno.Addr): string {
  return formatAddress(this);
}

function printClient(this: Deno.Addr): string {
  return formatAddress(this);
}

/** Whether a child can have a process group of its own. */
export const HAS_GROUPS: boolean = Deno.build.os !== "windows";

/** Signals the process group that a command leads. */
export function killGroup(pid: number, signal: Deno.Signal): void {
  Deno.kill(HAS_GROUPS ? -pid : pid, signal);
}
