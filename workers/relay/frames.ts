/**
 * The frames between a relay and its runner, and their only decoder.
 *
 * A frame is its code, the number of the request, the length of the payload,
 * each in four bytes, then the payload. A message is any number of frames.
 *
 * From the hub come, for each request: `open` or `packet` first; then `data`
 * and once `end` or `lost` (nothing follows), with `credit`, `sent` or `cut` in
 * between. From the port: `began` first; then `data`, `option`, `credit`, `stop`
 * and `packet` in any order; `end` after the last `data`; `close`; `done` last;
 * `cut` anywhere between.
 *
 * @module
 */

import { Ending } from "../base/progress.ts";
import { ProtocolError } from "../line/dialect.ts";

/** The kinds of frames. */
export const Op = {
  /** A connection; its addresses as JSON. */
  open: 1,
  /** The runner is about to begin the request. */
  began: 2,
  /** Bytes of a connection. */
  data: 3,
  /** No more bytes follow in this direction; with a byte, because of `stop`. */
  end: 4,
  /** The client is gone; the error as JSON. */
  lost: 5,
  /** A number of bytes was taken: more may be sent. */
  credit: 6,
  /** The runner has closed the connection. */
  close: 7,
  /** The runner is done with the request; how it ended, in a byte if not well. */
  done: 8,
  /** A packet: a number, its address, its bytes. */
  packet: 9,
  /** The outcome of a sent packet. */
  sent: 10,
  /** An option of the connection: which, and on or off. */
  option: 11,
  /** The runner waits for no more, if the bytes that it has read were all so far. */
  stop: 12,
  /** This end has cut off the request, and says so to its client's owner. */
  cut: 13,
} as const;

/** One of {@linkcode Op}. */
export type Opcode = typeof Op[keyof typeof Op];

/** An option of a TCP connection, as in a frame. */
export const ConnOption = { noDelay: 0, keepAlive: 1 } as const;

/** Called with each frame; the bytes lie in the message. */
export type FrameHandler = (op: Opcode, id: number, bytes: Uint8Array) => void;

/** The size of a frame's header. */
export const HEADER = 12;
/** The size of what says that a packet was sent; what says why not is longer. */
export const SENT_SIZE = 8;
/** The number of frames without a request. */
export const NO_REQUEST = 0;

/**
 * The size that a frame counts in addition to its payload: its header and
 * objects. It bounds the number of small frames.
 */
export const FRAME_COST = 64;
/** Most bytes of one connection in transit in one direction. */
export const WINDOW = 262_144;
/** Most bytes of one connection when the budget is used up. */
export const MIN_WINDOW = 16_384;
/** Most bytes of all connections of a runner in one direction. */
export const BUDGET = 8_388_608;
/** An error as it crosses. */
export interface ErrorFrame {
  name: string;
  message: string;
  code?: string;
}

const LAST_OP = Op.cut;
/** What only the hub can know comes after it. */
const MAX_ENDING = Ending.isOver - 1;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * Takes a message apart.
 *
 * @throws {ProtocolError} If it is malformed.
 */
export function readFrames(message: Uint8Array, handle: FrameHandler): void {
  const { buffer, byteOffset, length } = message;
  const view = new DataView(buffer, byteOffset, length);
  for (let at = 0; at < length;) {
    if (length - at < HEADER) throw malformed("a header is cut off");
    const op = view.getUint32(at);
    const start = at + HEADER;
    const end = start + view.getUint32(at + 8);
    if (op < 1 || op > LAST_OP) throw malformed(`there is no code ${op}`);
    if (end > length) throw malformed("a frame is cut off");
    const id = view.getUint32(at + 4);
    handle(op as Opcode, id, message.subarray(start, end));
    at = end;
  }
}

/** Reads a frame that holds a number. */
export function readNumber(bytes: Uint8Array): number {
  if (bytes.length !== 4) throw malformed("expected a number");
  return viewOf(bytes).getUint32(0);
}

/** Makes a frame, or the rest of one, that holds JSON. */
export function toJson(value: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(value));
}

/** Reads a frame, or the rest of one, that holds JSON. */
export function readJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch {
    throw malformed("expected JSON");
  }
}

/** Reads the frame with which a request ends. */
export function readEnding(bytes: Uint8Array): number {
  const [ending = 0] = bytes;
  if (bytes.length > 1 || ending > MAX_ENDING) {
    throw malformed("expected how a request ended");
  }
  return ending;
}

/** Reads a frame that holds an option. */
export function readOption(
  bytes: Uint8Array,
): { option: number; enabled: boolean } {
  const [option, enabled] = bytes;
  if (bytes.length !== 2 || option! > 1 || enabled! > 1) {
    throw malformed("expected an option");
  }
  return { option: option!, enabled: enabled === 1 };
}

/** Reads a frame that holds a packet; no address stands for the client's. */
export function readPacket(
  bytes: Uint8Array,
): { number: number; address: unknown; packet: Uint8Array } {
  if (bytes.length < 6) throw malformed("expected a packet");
  const view = viewOf(bytes);
  const start = 6 + view.getUint16(4);
  if (start > bytes.length) throw malformed("an address is cut off");
  return {
    number: view.getUint32(0),
    address: start === 6 ? null : readJson(bytes.subarray(6, start)),
    packet: bytes.subarray(start),
  };
}

/**
 * Reads the outcome of a packet: its number, and the bytes sent or the error.
 */
export function readSent(
  bytes: Uint8Array,
): { number: number; result: number | Error } {
  if (bytes.length < 4) throw malformed("expected a result");
  const view = viewOf(bytes);
  return {
    number: view.getUint32(0),
    result: bytes.length === SENT_SIZE
      ? view.getUint32(4)
      : fromErrorFrame(readJson(bytes.subarray(4)) as ErrorFrame),
  };
}

/** Converts an error to a form that crosses. */
export function toErrorFrame(thrown: unknown): ErrorFrame {
  if (!(thrown instanceof Error)) {
    return { name: "Error", message: String(thrown) };
  }
  const { name, message, code } = thrown as Error & { code?: unknown };
  return typeof code === "string" ? { name, message, code } : { name, message };
}

/** Makes an error of its original class. */
export function fromErrorFrame(frame: ErrorFrame): Error {
  const { name, message, code } = frame;
  const error = new (errorClass(name))(message);
  if (code !== undefined && !("code" in error)) Object.assign(error, { code });
  return error;
}

function errorClass(name: string): ErrorConstructor {
  if (name === "TypeError") return TypeError as ErrorConstructor;
  if (name === "RangeError") return RangeError as ErrorConstructor;
  const classes = Deno.errors as unknown as Record<string, ErrorConstructor>;
  return Object.hasOwn(classes, name) ? classes[name]! : Error;
}

function viewOf({ buffer, byteOffset, length }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, length);
}

function malformed(why: string): ProtocolError {
  return new ProtocolError(`Cannot read a relay's message: ${why}`);
}

/**
 * The runner ended before it began a request. The connection is unchanged: give
 * it to another relay, or close it.
 */
export class NotBegunError extends Error {
  override readonly name = "NotBegunError";
}

/** The error for a request that its runner, which has ended, had not begun. */
export function notBegun(cause: Error): NotBegunError {
  const { message } = cause;
  return new NotBegunError(`The request was not begun: ${message}`, { cause });
}

/** No system has longer ones. */
const MAX_NAME_LENGTH = 255;
const MAX_PATH_LENGTH = 4_096;

/** Whether this is an address of a socket. */
export function isAddress(value: unknown): value is Deno.Addr {
  const { transport, hostname, port, path } = Object(value);
  switch (transport) {
    case "tcp":
    case "udp":
      return typeof hostname === "string" &&
        hostname.length <= MAX_NAME_LENGTH && Number.isInteger(port) &&
        port >= 0 && port <= 65_535;
    case "unix":
    case "unixpacket":
      return path === null ||
        typeof path === "string" && path.length <= MAX_PATH_LENGTH;
    default:
      return false;
  }
}

/** An address without anything else that its object may have brought along. */
export function plainAddress(address: Deno.Addr): Deno.Addr {
  const { transport, hostname, port, path } = address as
    & Deno.NetAddr
    & Deno.UnixAddr;
  const isNet = transport === "tcp" || transport === "udp";
  return isNet ? { transport, hostname, port } : { transport, path };
}

/** Whether this is an address that a packet can be sent to. */
export function isPacketAddress(value: unknown): value is Deno.Addr {
  return isAddress(value) &&
    (value.transport === "udp" || value.transport === "unixpacket");
}

/** Whether two addresses are the same. */
export function isSameAddress(a: Deno.Addr, b: Deno.Addr): boolean {
  if (a === b) return true;
  if (a.transport !== b.transport) return false;
  if (a.transport === "unixpacket") return a.path === (b as typeof a).path;
  const { hostname, port } = a as Deno.NetAddr;
  return hostname === (b as Deno.NetAddr).hostname &&
    port === (b as Deno.NetAddr).port;
}
