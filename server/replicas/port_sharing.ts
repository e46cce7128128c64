/**
 * One TCP port for a server and its replicas: three ways, or none.
 *
 * @module
 */

import type { RunnerKind } from "../../workers/runner/runner.ts";
import type { Acceptor } from "../acceptor.ts";
import type { OpenListener } from "../_internal.ts";
import { exactLimit } from "../core/check_options.ts";
import type { ReplicaOptions } from "../options.ts";
import { mayBeTaken } from "../sockets/fileno.ts";
import { IS_LINUX } from "../sockets/platform.ts";

const MAX_TRIES = 8;

/** How replicas come to a TCP port of their own. */
export type Sharing = "loadBalanced" | "reusePort";

/** How a server and its replicas share a port. */
export interface PortSharing {
  /** What the replicas are told; `null`: they don't accept by themselves. */
  readonly name: Sharing | null;
  /** Whether what is queued when one leaves is left to the others. */
  readonly sharesQueue: boolean;
  /** Opens the server's listener. */
  bind(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener;
  /** Opens a replica's listener. */
  join(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener;
  /** The server's listener has closed. */
  leave(): void;
  /** Has the server's acceptor leave to replicas what comes, or take it. */
  mute(acceptor: Acceptor, muted: boolean): Acceptor;
}

/** The server alone listens. */
export class NoSharing implements PortSharing {
  readonly name = null;
  readonly sharesQueue = false;

  bind(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    return open(address, {});
  }

  join(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    return open(address, {});
  }

  leave(): void {}

  mute(acceptor: Acceptor): Acceptor {
    return acceptor;
  }
}

/** All listen on one kernel socket with one queue, by `loadBalanced`. */
export class OneSocket implements PortSharing {
  /** The ports that servers of this program hold in this way. */
  static readonly #taken: Set<string> = new Set();
  readonly name = "loadBalanced";
  readonly sharesQueue = true;
  #key = "";

  bind(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    // Who asks for port 0 twice gets the same port twice
    const { port } = address.port === 0 ? probe(address, open) : address;
    const listener = this.join({ ...address, port }, open);
    const key = `${listener.addr.hostname} ${listener.addr.port}`;
    if (OneSocket.#taken.has(key)) {
      listener.close();
      // Throws, unless that server's listener was closed behind its back
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

  join(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    return open(address, { loadBalanced: true });
  }

  leave(): void {
    OneSocket.#taken.delete(this.#key);
  }

  mute(acceptor: Acceptor, muted: boolean): Acceptor {
    if (!(acceptor instanceof MutableAcceptor)) {
      acceptor = new MutableAcceptor(acceptor);
    }
    (acceptor as MutableAcceptor).muted = muted;
    return acceptor;
  }
}

/** Each has a socket and a queue of its own, by SO_REUSEPORT. */
export class ReusePort implements PortSharing {
  readonly name = "reusePort";
  readonly sharesQueue = false;

  bind(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    // The system would let a second program join. To take the port alone for a
    // moment tells, but resets a client that comes meanwhile
    const { port } = address.port === 0 || mayBeTaken(address.port)
      ? probe(address, open)
      : address;
    return this.join({ ...address, port }, open);
  }

  join(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    return open(address, { reusePort: true });
  }

  leave(): void {}

  mute(acceptor: Acceptor): Acceptor {
    return acceptor; // what is in its own queue no replica can take
  }
}

/** The sharing that a replica was told of. */
export function sharingOf(name: Sharing | null): PortSharing {
  if (name === null) return new NoSharing();
  return name === "loadBalanced" ? new OneSocket() : new ReusePort();
}

/** Why replicas can't accept by themselves, or `null` if they can. */
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
  ways.push(new NoSharing());
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
      // Somebody was quicker; of the ports that are free there are others
      const another = address.port === 0 && tries < MAX_TRIES;
      if (!another || !(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

/** This version of Deno does not know the undocumented option any more. */
class NotShared extends Error {}

function assertShared(address: Deno.NetAddr, open: OpenListener): void {
  try {
    open(address, { loadBalanced: true }).close();
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) throw new NotShared();
    throw error;
  }
}

/** Takes a port alone for a moment. */
function probe(address: Deno.NetAddr, open: OpenListener): Deno.NetAddr {
  const alone = open(address, {});
  alone.close();
  return alone.addr as Deno.NetAddr;
}

/** Only Linux spreads connections over the listeners of a port. */
function canReusePort(): boolean {
  return IS_LINUX && Deno.listenDatagram !== undefined;
}

/** An acceptor that can be told to hold still. */
class MutableAcceptor implements Acceptor {
  #inner: Acceptor;
  #muted = false;
  #waiting: PromiseWithResolvers<void> | null = null;

  constructor(inner: Acceptor) {
    this.#inner = inner;
  }

  set muted(muted: boolean) {
    this.#muted = muted;
    if (!muted) this.#waiting?.resolve();
  }

  async accept(): Promise<[request: unknown, clientAddress: Deno.Addr]> {
    while (this.#muted) {
      this.#waiting = Promise.withResolvers();
      await this.#waiting.promise;
    }
    return await this.#inner.accept();
  }

  close(): void {
    this.#waiting?.reject(new Deno.errors.BadResource("Listener closed"));
    this.#inner.close();
  }

  ref(): void {
    this.#inner.ref?.();
  }

  unref(): void {
    this.#inner.unref?.();
  }
}
