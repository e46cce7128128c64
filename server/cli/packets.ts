/**
 * The command line's client over datagrams.
 *
 * @module
 */

import { BufferedReader } from "../../handlers/io/buffered_reader.ts";
import { inTime } from "../../workers/base/waits.ts";
import { printNote } from "./output.ts";
import { failure, startServer } from "./problems.ts";
import type { Prompt } from "./prompt.ts";
import { assertUnstableNet } from "../sockets/listen.ts";
import {
  type DatagramConn,
  maxPayload,
  type PacketSocket,
  UdpSocket,
} from "../sockets/packet_socket.ts";
import { StopSignals } from "./signals.ts";
import { SocketFile } from "../sockets/unix_path.ts";
import { UnixPacketSocket } from "../sockets/unix_packet_socket.ts";
import { lookup } from "node:dns/promises";
import { formatAddress } from "../addresses.ts";

/** After the last answer: how long others may follow it. */
const QUIET_MS = 50;
const NEWLINE = Uint8Array.of(10);

/** Where a datagram server listens. */
export type PacketAddress =
  | Deno.NetAddr & { transport: "udp" }
  | Deno.UnixAddr & { transport: "unixpacket" };

/** Sends each line as a packet and prints the packets that come. */
export async function talkByPackets(
  address: PacketAddress,
  prompt: Prompt,
  timeout: number,
): Promise<number> {
  assertUnstableNet("send packets");
  if (address.transport === "udp") {
    const [socket, server] = await openUdp(address)
      .catch(notSent(address));
    return await talk(socket, server, prompt, timeout);
  }
  const dir = await Deno.makeTempDir({ prefix: "socketserver-" })
    .catch(notSent(address));
  const remove = () => Deno.removeSync(dir, { recursive: true });
  using stop = new StopSignals();
  stop.signal.addEventListener("abort", () => {
    remove();
    Deno.exit(stop.signal.reason);
  });
  try {
    const path = `${dir}/client`;
    const socket = new UnixPacketSocket(new SocketFile(path));
    return await talk(socket, address, prompt, timeout);
  } finally {
    remove();
  }
}

/** Whether a packet comes from the server. A Unix socket's path is private. */
function isFrom(address: PacketAddress, from: Deno.Addr): boolean {
  return "path" in address ||
    "hostname" in from && from.port === address.port &&
      canonical(from.hostname) === canonical(address.hostname);
}

/** One spelling for each address. */
function canonical(hostname: string): string {
  const mapped = hostname.replace(/^::ffff:(?=\d+\.)/i, "");
  if (!mapped.includes(":")) return mapped;
  // A URL takes no zone
  return new URL(`http://[${mapped.split("%")[0]}]`).hostname;
}

/** A socket, and the server's IP address: only packets from there are answers. */
async function openUdp(
  address: Deno.NetAddr & { transport: "udp" },
): Promise<[PacketSocket, PacketAddress]> {
  const local = { "0.0.0.0": "127.0.0.1", "::": "::1" }[address.hostname];
  const { address: hostname } = await lookup(local ?? address.hostname);
  const own = hostname.includes(":") ? "::" : "0.0.0.0";
  const options = { transport: "udp", hostname: own, port: 0 } as const;
  const socket = Deno.listenDatagram(options) as DatagramConn;
  return [new UdpSocket(socket), { ...address, hostname }];
}

async function talk(
  socket: PacketSocket,
  address: PacketAddress,
  prompt: Prompt,
  timeout: number,
): Promise<number> {
  const at = formatAddress(address);
  const length = maxPayload(address);
  const input = new BufferedReader(prompt, { maxLineLength: length - 1 });
  let arrived = Promise.withResolvers<true>();
  const onAnswer = async (packet: Uint8Array) => {
    await prompt.print(packet);
    if (packet.at(-1) !== NEWLINE[0]) await prompt.print(NEWLINE);
    arrived.resolve(true);
  };
  const failed = receiveAll(socket, address, new Uint8Array(length), onAnswer);
  failed.catch(() => {}); // it may fail while nobody waits
  const isAnswered = (ms: number) => {
    arrived = Promise.withResolvers();
    return Promise.race([inTime(arrived.promise, ms), failed]);
  };
  let unanswered = 0;
  try {
    await prompt.show();
    for (let line; (line = await input.readLineBytes()) !== null;) {
      prompt.typed();
      const [answered] = await Promise.all([
        isAnswered(timeout),
        socket.send(line, address).catch(notSent(address)),
      ]);
      if (answered) continue;
      unanswered++;
      await prompt.end();
      printNote(`No answer from "${at}" within ${timeout} ms`);
      await prompt.show();
    }
    while (unanswered === 0 && await isAnswered(QUIET_MS));
  } finally {
    socket.close();
    await prompt.end();
  }
  return unanswered === 0 ? 0 : 1;
}

/** Gives the server's packets to a function, until the socket is closed. */
async function receiveAll(
  socket: PacketSocket,
  server: PacketAddress,
  buffer: Uint8Array,
  onAnswer: (packet: Uint8Array) => Promise<void>,
): Promise<never> {
  for (;;) {
    const [packet, from] = await socket.receive(buffer);
    if (isFrom(server, from)) await onAnswer(packet);
  }
}

/** Makes a function that throws an error with what was being done, and a cure. */
function notSent(address: PacketAddress): (error: unknown) => never {
  return (error) => {
    throw failure(
      `Cannot send to "${formatAddress(address)}"`,
      error instanceof Deno.errors.TimedOut
        ? new Error("the server reads no packets", { cause: error })
        : error,
      [startServer(address)],
    );
  };
}
