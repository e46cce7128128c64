/**
 * The sockets and packets of datagram servers.
 *
 * @module
 */

import type {
  DatagramRequest,
  DatagramSocket,
} from "../../handlers/request_types.ts";
import { answersAll, received } from "../../handlers/_internal.ts";
import type { Acceptor } from "../acceptor.ts";

const MAX_UDP_PAYLOAD = 65_507;
/** UDP counts in 16 bits, over IPv6 without that protocol's header. */
export const MAX_UDP6_PAYLOAD = 65_527;
/** A socket's own packets must fit into the buffer of a receive. */
export const WAKE_WORD_SIZE = 16;
const MIN_BUFFER_SIZE = WAKE_WORD_SIZE + 1;
/** The kernel's default limit. */
const MAX_UNIX_PAYLOAD = 212_960;

/** The lowest port that anybody may bind; below are the ports of servers. */
const FIRST_CLIENT_PORT = 1_024;

/** A socket that receives and sends packets. */
export interface PacketSocket extends DatagramSocket {
  /** The number of packets that were not answered. */
  readonly dropped: number;
  /** Counts a packet that is not answered, because of where it came from. */
  drop(): void;
  /** Whether an address is that of a server, as far as can be known. */
  isServer(from: Deno.Addr): boolean;
  /** Receives one packet. Its bytes are in `buffer` until the next call. */
  receive(buffer: Uint8Array): Promise<[Uint8Array, Deno.Addr]>;
  close(): void;
  ref(): void;
  unref(): void;
}

/** Deno's socket. Its types lack the last two methods. */
export type DatagramConn = Deno.DatagramConn & { ref(): void; unref(): void };

/** The open UDP sockets of the servers in this thread, by their ports. */
const udpSockets = new Map<number, Set<UdpSocket>>();

const WILDCARDS = ["0.0.0.0", "::"];

/** A UDP socket. It can send and receive at the same time. */
export class UdpSocket implements PacketSocket {
  readonly addr: Deno.NetAddr;
  #dropped = 0;
  #socket: DatagramConn;

  constructor(socket: DatagramConn) {
    this.#socket = socket;
    this.addr = socket.addr as Deno.NetAddr;
    const { port } = this.addr;
    udpSockets.set(port, (udpSockets.get(port) ?? new Set()).add(this));
  }

  get dropped(): number {
    return this.#dropped;
  }

  drop(): void {
    this.#dropped++;
  }

  isServer(from: Deno.Addr): boolean {
    const { hostname, port } = from as Deno.NetAddr;
    if (port < FIRST_CLIENT_PORT || port === this.addr.port) return true;
    const others = udpSockets.get(port);
    return others !== undefined &&
      [...others].some(({ addr }) =>
        addr.hostname === hostname || WILDCARDS.includes(addr.hostname)
      );
  }

  receive(buffer: Uint8Array): Promise<[Uint8Array, Deno.Addr]> {
    return this.#socket.receive(buffer);
  }

  send(packet: Uint8Array, address: Deno.Addr): Promise<number> {
    const limit = maxPayload(address);
    if (packet.length > limit) {
      return Promise.reject(packetTooLong(packet.length, limit));
    }
    // Anybody can send packets from port 0; nobody can receive them there
    if ((address as Deno.NetAddr).port !== 0) {
      return this.#socket.send(packet, address);
    }
    this.drop();
    return Promise.resolve(0);
  }

  joinMulticastV4(
    address: string,
    networkInterface: string,
  ): Promise<Deno.MulticastV4Membership> {
    return this.#socket.joinMulticastV4(address, networkInterface);
  }

  joinMulticastV6(
    address: string,
    networkInterface: number,
  ): Promise<Deno.MulticastV6Membership> {
    return this.#socket.joinMulticastV6(address, networkInterface);
  }

  close(): void {
    const { port } = this.addr;
    const sockets = udpSockets.get(port);
    sockets?.delete(this);
    if (sockets?.size === 0) udpSockets.delete(port);
    this.#socket.close();
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }
}

/** The longest packet to or from this address. */
export function maxPayload(address: Deno.Addr): number {
  if (address.transport !== "udp") return MAX_UNIX_PAYLOAD;
  const { hostname } = address;
  const isMapped = hostname.includes(".");
  return hostname.includes(":") && !isMapped
    ? MAX_UDP6_PAYLOAD
    : MAX_UDP_PAYLOAD;
}

/** The error for a packet that no socket of its kind can carry. */
export function packetTooLong(length: number, limit: number): RangeError {
  return new RangeError(
    `Cannot send a packet of ${length} bytes: a packet carries at most ${limit}`,
  );
}

/**
 * A packet, in the buffer of the receive until the next one begins. Whatever is
 * asked for before that is copied once. Small packets share memory until a
 * handler asks for its own: allocating it takes a twentieth of an echo.
 */
class ReceivedPacket implements DatagramRequest {
  readonly socket: DatagramSocket;
  readonly truncated: boolean;
  #bytes: Uint8Array;
  /** Copies the bytes out of the buffer; `null` when that is done. */
  #copy: ((data: Uint8Array) => Uint8Array) | null;

  constructor(
    bytes: Uint8Array,
    socket: DatagramSocket,
    truncated: boolean,
    copy: (data: Uint8Array) => Uint8Array,
  ) {
    this.#bytes = bytes;
    this.socket = socket;
    this.truncated = truncated;
    this.#copy = copy;
  }

  get packet(): Uint8Array {
    const bytes = this.#bytes;
    const isAlone = bytes.length === bytes.buffer.byteLength;
    if (!isAlone) this.#bytes = new Uint8Array(bytes);
    this.#copy = null;
    return this.#bytes;
  }

  get [received](): Uint8Array {
    this.keep();
    return this.#bytes;
  }

  /** The buffer is about to be used again. */
  keep(): void {
    if (this.#copy === null) return;
    this.#bytes = this.#copy(this.#bytes);
    this.#copy = null;
  }
}

type Received = [request: DatagramRequest, clientAddress: Deno.Addr];

const SLAB_SIZE = 8_192;
const MAX_SMALL_PACKET = 1_024;

/**
 * Takes packets from a datagram socket, which it owns.
 *
 * It receives all packets into one buffer, which halves the time of a receive.
 */
export class DatagramAcceptor implements Acceptor<DatagramRequest> {
  readonly carriesReplies = true;
  #socket: PacketSocket;
  #maxPacketSize: () => number;
  #dropsServers: boolean;
  #limit = 0;
  #buffer: Uint8Array | null = null;
  #slab: Uint8Array = new Uint8Array(0);
  #used = 0;
  #last: ReceivedPacket | null = null;

  /**
   * Constructs it.
   *
   * @param socket The socket.
   * @param maxPacketSize The longest packet that is not cut.
   * @param Handler The class of the handlers.
   */
  constructor(
    socket: PacketSocket,
    maxPacketSize: () => number,
    Handler: object,
  ) {
    this.#socket = socket;
    this.#maxPacketSize = maxPacketSize;
    this.#dropsServers = answersAll in Handler;
  }

  accept(): Promise<Received> {
    // One byte more than allowed, to detect longer packets
    this.#buffer ??= new Uint8Array(
      Math.max(MIN_BUFFER_SIZE, (this.#limit = this.#maxPacketSize()) + 1),
    );
    this.#last?.keep();
    this.#last = null;
    return this.#socket.receive(this.#buffer).then(this.#onPacket);
  }

  close(): void {
    this.#socket.close();
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }

  #onPacket = (
    received: [Uint8Array, Deno.Addr],
  ): Received | Promise<Received> =>
    this.#dropsServers && this.#socket.isServer(received[1])
      ? this.#nextOfClient()
      : this.#toRequest(received);

  /** Drops a packet whose answer would come back, and those that follow. */
  async #nextOfClient(): Promise<Received> {
    for (;;) {
      this.#socket.drop();
      const received = await this.#socket.receive(this.#buffer!);
      if (!this.#socket.isServer(received[1])) return this.#toRequest(received);
    }
  }

  #toRequest([data, from]: [Uint8Array, Deno.Addr]): Received {
    const truncated = data.length > this.#limit;
    const bytes = truncated ? data.subarray(0, this.#limit) : data;
    const socket = this.#socket;
    this.#last = new ReceivedPacket(bytes, socket, truncated, this.#copy);
    return [this.#last, from];
  }

  /** Copies small packets into shared chunks. */
  #copy = (data: Uint8Array): Uint8Array => {
    const { length } = data;
    if (length > MAX_SMALL_PACKET) return data.slice();
    if (this.#used + length > this.#slab.length) {
      this.#slab = new Uint8Array(SLAB_SIZE);
      this.#used = 0;
    }
    const copy = this.#slab.subarray(this.#used, this.#used += length);
    copy.set(data);
    return copy;
  };
}
