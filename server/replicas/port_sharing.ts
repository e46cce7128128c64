/**
 * The ways to share one TCP port between a server and its replicas.
 *
 * @module
 */

import type { RunnerKind } from "../../workers/runner/runner.ts";
import type { OpenListener } from "../_internal.ts";
import type { Listening } from "../core/listening.ts";
import { exactLimit } from "../core/check_options.ts";
import type { ReplicaOptions } from "../options.ts";
import { isTaken } from "../sockets/listen.ts";
import { IS_LINUX } from "../addresses.ts";

const MAX_TRIES = 8;
/** Longer than the round trips of a connect take. */
const SILENCE_MS = 1_000;

/** How replicas listen on the TCP port. */
export type Sharing = "loadBalanced" | "reusePort";

/** How a server and its replicas share a port: the server alone listens. */
export class PortSharing {
  /** The replicas' way; `null` if they don't accept. */
  readonly name: Sharing | null = null;
  /** Whether the others take over the queue of one that leaves. */
  readonly sharesQueue: boolean = false;
  /**
   * For how long no client must have come to a listener that leaves while others
   * stay: the system resets clients whose connect to it is under way.
   */
  readonly silence: number = 0;

  /** Opens the server's listener. */
  bind(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    return this.join(address, open);
  }

  /** Opens a replica's listener. */
  join(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    return open(address, {});
  }

  /** The server's listener has closed. */
  leave(): void {}
}

/** All listen on one kernel socket with one queue, by `loadBalanced`. */
export class OneSocket extends PortSharing {
  /** The ports that servers of this program share in this way. */
  static readonly #taken: Set<string> = new Set();
  override readonly name = "loadBalanced";
  override readonly sharesQueue = true;
  #key = "";

  override bind(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    // A second request for port 0 gets the same port. Another thread's server
    // shares it as well, and is known to the system alone. Without permission to
    // look there it may join: a probe would reset clients that come early
    const { port } = address.port === 0 || isTaken(address.port) === true
      ? probe(address, open)
      : address;
    const listener = this.join({ ...address, port }, open);
    const key = `${listener.addr.hostname} ${listener.addr.port}`;
    if (OneSocket.#taken.has(key)) {
      listener.close();
      // Throws, unless other code closed that server's listener
      probe({ ...address, port }, open);
      OneSocket.#taken.delete(key);
      return this.bind({ ...address, port }, open);
    }
    try {
      assertShared({ ...address, port }, open);
    } catch (error) {
      listener.close();
      throw error;
    }
    OneSocket.#taken.add(this.#key = key);
    return listener;
  }

  override join(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    return open(address, { loadBalanced: true });
  }

  override leave(): void {
    OneSocket.#taken.delete(this.#key);
    this.#key = ""; // the port may be another server's by its next call
  }
}

/** Each has its own socket and queue, by SO_REUSEPORT. */
export class ReusePort extends PortSharing {
  override readonly name = "reusePort";
  override readonly silence = SILENCE_MS;

  override bind(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    // The system would let a second program join. Binding the port exclusively
    // for a moment detects it, but resets a client that connects in that moment
    const { port } = address.port === 0 || isTaken(address.port) !== false
      ? probe(address, open)
      : address;
    return this.join({ ...address, port }, open);
  }

  override join(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    return open(address, { reusePort: true });
  }
}

/**
 * How often a server looks whether it can leave its port. It counts the looks at
 * which nobody had come, not time: a program that stood still sees no client.
 */
const LOOK_MS = 100;

/** The others at a port, as a server sees them. */
export interface Others {
  /** Whether all of them accept clients, and none starts. */
  othersServe(): boolean;
  /** Whether any of them listens. */
  othersListen(): boolean;
  /** For how long no client must have come; 0 if the server stays. */
  silence(): number;
  /** The server could not listen again. */
  failed(error: Error): void;
}

type ListeningPart = Pick<
  Listening<never>,
  "isAside" | "isClosed" | "waitsSince" | "stepAside" | "stepBack"
>;

/**
 * Whether a server listens where its replicas do. With a queue of its own it
 * would relay its share of the clients: it leaves the port to replicas that all
 * listen, and listens again when none does.
 */
export class Presence {
  #listening: ListeningPart;
  #others: Others;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #quietLooks = 0;
  #quietSince: number | null = null;
  #isReturning = false;

  constructor(listening: ListeningPart, others: Others) {
    this.#listening = listening;
    this.#others = others;
  }

  /** Something may have changed. */
  check(): void {
    clearTimeout(this.#timer);
    if (this.#listening.isAside) {
      // More replicas may die while it tries: further tries must not queue up
      if (this.#isReturning || this.#others.othersListen()) return;
      void this.#return();
    } else if (this.#mayLeave()) {
      this.#timer = setTimeout(() => void this.#look(), LOOK_MS);
      Deno.unrefTimer(this.#timer as unknown as number);
    }
  }

  #mayLeave(): boolean {
    const { silence, othersServe } = this.#others;
    return silence() > 0 && !this.#listening.isClosed && othersServe();
  }

  async #return(): Promise<void> {
    this.#isReturning = true;
    try {
      await this.#listening.stepBack();
    } catch (error) {
      if (!this.#listening.isClosed) this.#others.failed(error as Error);
    }
    this.#isReturning = false;
    if (!this.#listening.isAside) this.check();
  }

  async #look(): Promise<void> {
    const { waitsSince } = this.#listening;
    const isQuiet = waitsSince !== null && waitsSince === this.#quietSince;
    this.#quietLooks = isQuiet ? this.#quietLooks + 1 : 0;
    this.#quietSince = waitsSince;
    if (this.#quietLooks * LOOK_MS >= this.#others.silence()) {
      await this.#listening.stepAside(() => this.#mayLeave());
    }
    this.check();
  }
}

/** The way of sharing in a replica. */
export function sharingOf(name: Sharing | null): PortSharing {
  if (name === null) return new PortSharing();
  return name === "loadBalanced" ? new OneSocket() : new ReusePort();
}

const LAST_PRIVILEGED = 1_023;

/** Whether this program may bind a port, found out by others of its kind. */
export function mayBind(port: number): boolean {
  for (let other = LAST_PRIVILEGED; port <= LAST_PRIVILEGED && other > 0;) {
    try {
      Deno.listen({ hostname: "127.0.0.1", port: other-- }).close();
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.PermissionDenied) return false;
    }
  }
  return true;
}

/** The reason why replicas can't accept, or `null` if they can. */
export function whyNotShared(
  kind: RunnerKind,
  address: Deno.Addr,
  options: ReplicaOptions,
): string | null {
  const { permissions = "inherit" } = options;
  if (address.transport !== "tcp") return "only a TCP port can be shared";
  if (permissions !== "inherit") {
    return "replicas with permissions of their own open no port";
  }
  const limit = exactLimit(options);
  if (limit !== null) {
    return `the option "${limit}" is exact only where one place accepts`;
  }
  if (kind === "thread") return null;
  const net = Deno.permissions.querySync({ name: "net" });
  if (net.state !== "granted" || net.partial) {
    return "processes inherit the permission to listen only from --allow-net without a list";
  }
  return canReusePort()
    ? null
    : "processes share a port on Linux with --unstable-net alone";
}

/** Opens the server's listener by the best way there is. */
export function bindShared(
  kind: RunnerKind,
  address: Deno.NetAddr,
  open: OpenListener,
): [listener: Deno.TcpListener, sharing: PortSharing] {
  const ways: PortSharing[] = [];
  if (kind === "thread") ways.push(new OneSocket());
  if (canReusePort()) ways.push(new ReusePort());
  ways.push(new PortSharing());
  for (const sharing of ways) {
    try {
      return [bindSomewhere(sharing, address, open), sharing];
    } catch (error) {
      if (!(error instanceof NotShared)) throw error;
    }
  }
  throw new NotShared(); // the last way does not throw it
}

function bindSomewhere(
  sharing: PortSharing,
  address: Deno.NetAddr,
  open: OpenListener,
): Deno.TcpListener {
  for (let tries = 1;; tries++) {
    try {
      return sharing.bind(address, open);
    } catch (error) {
      // Another program was faster; there are other free ports
      const another = address.port === 0 && tries < MAX_TRIES;
      if (!another || !(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

/** This version of Deno ignores the undocumented option. */
class NotShared extends Error {}

function assertShared(address: Deno.NetAddr, open: OpenListener): void {
  try {
    open(address, { loadBalanced: true }).close();
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) throw new NotShared();
    throw error;
  }
}

/** Binds a port exclusively for a moment. */
function probe(address: Deno.NetAddr, open: OpenListener): Deno.NetAddr {
  const alone = open(address, {});
  alone.close();
  return alone.addr as Deno.NetAddr;
}

/** Only Linux spreads connections over the listeners of a port. */
function canReusePort(): boolean {
  return IS_LINUX && Deno.listenDatagram !== undefined;
}
