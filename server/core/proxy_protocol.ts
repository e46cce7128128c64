/**
 * The header of the PROXY protocol, versions 1 and 2. A balancer sends it
 * before a connection's bytes to pass on the client's address.
 *
 * The parser is strict: everything that the specification does not allow is an
 * error. https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt
 *
 * @module
 */

import type { ProxyInfo, ProxyTls } from "../../handlers/request_types.ts";
import { EntranceError } from "./faults.ts";

/** More than any balancer sends. The format itself allows 65,551 bytes. */
export const MAX_HEADER_BYTES = 4_096;
/** The longest line of version 1, its end included. */
const MAX_LINE_BYTES = 107;
const FIXED_BYTES = 16;
/** The size of the addresses in bytes, by family. */
const ADDRESS_BYTES = [0, 12, 36, 216];
const UNIX_PATH_BYTES = 108;
const CRC32C_TYPE = 0x03;
const CRC32C_POLYNOMIAL = 0x82f63b78;

const SIGNATURE_2 = Uint8Array.of(
  ...[0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a],
);
const SIGNATURE_1 = new TextEncoder().encode("PROXY ");
const LINE_REGEXP = /^PROXY (TCP4|TCP6) (\S+) (\S+) (\S+) (\S+)\r\n$/;
const UNKNOWN_REGEXP = /^PROXY UNKNOWN(?: [^\r\n]*)?\r\n$/;
const IPV4_REGEXP = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
/** The end may be an IPv4 address, as HAProxy writes it. */
const IPV6_REGEXP = /^[\da-f:]{2,39}(?:[\d.]{7,15})?$/i;
const MAPPED_REGEXP = /^::ffff:([\da-f]{1,4}):([\da-f]{1,4})$/;
const PORT_REGEXP = /^(?:0|[1-9]\d{0,4})$/;
const MAX_PORT = 65_535;

const decoder = new TextDecoder();

/** The two ends of the client's connection to the balancer. */
export interface ProxyEnds {
  source: Deno.Addr;
  destination: Deno.Addr;
}

/** A header. */
export interface ProxyHeader {
  /** Its size in bytes. The client's bytes follow. */
  length: number;
  /** `null` if it has none: the connection is the balancer's own. */
  ends: ProxyEnds | null;
  /** The other values of the header; absent if there are none. */
  info?: ProxyInfo;
}

/** The error of a missing or malformed header. */
export class ProxyHeaderError extends EntranceError {
  /** The name of the error's class. */
  override name = "ProxyHeaderError";
  override readonly count = "badProxyHeaders";
  override readonly reason = "proxyProtocol";
}

/**
 * Whether bytes can be the beginning of a header.
 *
 * @param bytes What has arrived, at least one byte.
 */
export function beginsHeader(bytes: Uint8Array): boolean {
  return beginsWith(bytes, SIGNATURE_2) || beginsWith(bytes, SIGNATURE_1);
}

/**
 * Parses a header.
 *
 * @param bytes What has arrived.
 * @returns The header, or `null` while its end has not arrived.
 * @throws {ProxyHeaderError} If it is none, or a malformed one.
 */
export function parseProxyHeader(bytes: Uint8Array): ProxyHeader | null {
  if (beginsWith(bytes, SIGNATURE_2)) return parseBinary(bytes);
  if (beginsWith(bytes, SIGNATURE_1)) return parseLine(bytes);
  throw new ProxyHeaderError("Cannot find a PROXY header");
}

/** Whether bytes hold the whole signature of a header. */
export function hasSignature(bytes: Uint8Array): boolean {
  return [SIGNATURE_1, SIGNATURE_2].some((signature) =>
    bytes.length >= signature.length && beginsWith(bytes, signature)
  );
}

function beginsWith(bytes: Uint8Array, signature: Uint8Array): boolean {
  const length = Math.min(bytes.length, signature.length);
  for (let i = 0; i < length; i++) {
    if (bytes[i] !== signature[i]) return false;
  }
  return true;
}

/** Version 1: a line of text. */
function parseLine(bytes: Uint8Array): ProxyHeader | null {
  const end = bytes.subarray(0, MAX_LINE_BYTES).indexOf(0x0a);
  if (end < 0) {
    if (bytes.length < MAX_LINE_BYTES) return null;
    throw malformed(`its line is longer than ${MAX_LINE_BYTES} bytes`);
  }
  const length = end + 1;
  const line = String.fromCharCode(...bytes.subarray(0, length));
  if (UNKNOWN_REGEXP.test(line)) return { length, ends: null };
  const [, family, from = "", to = "", fromPort = "", toPort = ""] =
    LINE_REGEXP.exec(line) ?? [];
  if (family === undefined) throw malformed("its line has another form");
  const hostname = family === "TCP4" ? ipv4 : ipv6;
  return {
    length,
    ends: {
      source: tcp(hostname(from), port(fromPort)),
      destination: tcp(hostname(to), port(toPort)),
    },
  };
}

/** Version 2: 16 fixed bytes, the addresses, then typed values. */
function parseBinary(bytes: Uint8Array): ProxyHeader | null {
  const [versionAndCommand, familyAndProtocol] = bytes.subarray(12);
  if (versionAndCommand !== undefined && versionAndCommand >> 1 !== 0x10) {
    throw malformed("its version or command is unknown");
  }
  if (bytes.length < FIXED_BYTES) return null;
  const length = FIXED_BYTES + (bytes[14]! << 8) + bytes[15]!;
  if (length > MAX_HEADER_BYTES) {
    throw malformed(`it is longer than ${MAX_HEADER_BYTES} bytes`);
  }
  const isLocal = versionAndCommand === 0x20;
  const family = familyAndProtocol! >> 4;
  const protocol = familyAndProtocol! & 0x0f;
  const addressBytes = ADDRESS_BYTES[family];
  // Only the length of a LOCAL header counts
  const fits = addressBytes !== undefined && protocol <= 2 &&
    FIXED_BYTES + addressBytes <= length;
  if (!fits && !isLocal) {
    throw malformed("its addresses are unknown or too short");
  }
  if (bytes.length < length) return null;
  if (isLocal) return { length, ends: null };
  const info = readValues(
    bytes.subarray(0, length),
    FIXED_BYTES + addressBytes!,
  );
  // Without a protocol the addresses mean nothing
  if (family === 0 || protocol === 0) return { length, ends: null };
  const addresses = bytes.subarray(FIXED_BYTES, FIXED_BYTES + addressBytes!);
  const ends = readEnds(addresses, family, protocol);
  return { length, ends, ...(Object.keys(info).length > 0 && { info }) };
}

function readEnds(
  bytes: Uint8Array,
  family: number,
  protocol: number,
): ProxyEnds {
  if (family === 3) {
    const transport = protocol === 1 ? "unix" : "unixpacket";
    return {
      source: { transport, path: readPath(bytes.subarray(0, UNIX_PATH_BYTES)) },
      destination: {
        transport,
        path: readPath(bytes.subarray(UNIX_PATH_BYTES)),
      },
    };
  }
  const size = family === 1 ? 4 : 16;
  const hostname = family === 1 ? formatIpv4 : formatIpv6;
  const transport = protocol === 1 ? "tcp" : "udp";
  const ports = bytes.subarray(2 * size);
  return {
    source: {
      transport,
      hostname: hostname(bytes.subarray(0, size)),
      port: (ports[0]! << 8) + ports[1]!,
    },
    destination: {
      transport,
      hostname: hostname(bytes.subarray(size, 2 * size)),
      port: (ports[2]! << 8) + ports[3]!,
    },
  };
}

/** The texts among the values, by their types. */
const TEXTS: Record<number, "alpn" | "authority" | "uniqueId"> = {
  0x01: "alpn",
  0x02: "authority",
  0x05: "uniqueId",
};
/** The texts within the value of TLS. */
const TLS_TEXTS: Record<number, "version" | "commonName" | "cipher"> = {
  0x21: "version",
  0x22: "commonName",
  0x23: "cipher",
};
const TLS_TYPE = 0x20;
/** Which client it is, in one byte, and what its certificate is worth, in four. */
const TLS_FIXED_BYTES = 5;
const USED_TLS = 1;
/** It showed a certificate in this connection, or in this session. */
const SHOWED_CERTIFICATE = 6;

/** Throws for values that are cut off, and for a checksum that is wrong. */
function readValues(header: Uint8Array, start: number): ProxyInfo {
  const info: ProxyInfo = {};
  let checked = false;
  eachValue(header.subarray(start), (type, value, at) => {
    const text = TEXTS[type];
    if (text !== undefined) info[text] = decoder.decode(value);
    else if (type === TLS_TYPE) readTls(value, info);
    else if (type === CRC32C_TYPE) {
      if (checked) throw malformed("it has two checksums");
      checkSum(header, start + at, value.length);
      checked = true;
    }
  });
  return info;
}

function readTls(bytes: Uint8Array, info: ProxyInfo): void {
  const [client = 0] = bytes;
  if (bytes.length < TLS_FIXED_BYTES) {
    throw malformed("one of its values is cut off");
  }
  const isGood = bytes.subarray(1, TLS_FIXED_BYTES).every((byte) => byte === 0);
  const isVerified = isGood && (client & SHOWED_CERTIFICATE) !== 0;
  const tls: ProxyTls = { isVerified };
  eachValue(bytes.subarray(TLS_FIXED_BYTES), (type, value) => {
    const text = TLS_TEXTS[type];
    if (text !== undefined) tls[text] = decoder.decode(value);
  });
  if (client & USED_TLS) info.tls = tls;
}

/** Splits into values: a type in one byte, a length in two, then the bytes. */
function eachValue(
  bytes: Uint8Array,
  take: (type: number, value: Uint8Array, at: number) => void,
): void {
  for (let at = 0; at < bytes.length;) {
    const start = at + 3;
    const end = start + (bytes[at + 1]! << 8) + bytes[at + 2]!;
    if (start > bytes.length || end > bytes.length) {
      throw malformed("one of its values is cut off");
    }
    take(bytes[at]!, bytes.subarray(start, end), start);
    at = end;
  }
}

function checkSum(header: Uint8Array, at: number, length: number): void {
  if (length !== 4) throw malformed("its checksum has not four bytes");
  const copy = header.slice();
  const view = new DataView(copy.buffer);
  const told = view.getUint32(at);
  view.setUint32(at, 0);
  if (crc32c(copy) !== told) throw malformed("its checksum is wrong");
}

/** The checksum of RFC 4960, appendix B. */
export function crc32c(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      crc = crc >>> 1 ^ (crc & 1 ? CRC32C_POLYNOMIAL : 0);
    }
  }
  return ~crc >>> 0;
}

function readPath(bytes: Uint8Array): string {
  const end = bytes.indexOf(0, 1);
  const path = new TextDecoder().decode(
    bytes.subarray(0, end < 0 ? bytes.length : end),
  );
  return path === "\0" ? "" : path;
}

function tcp(hostname: string, port: number): Deno.NetAddr {
  return { transport: "tcp", hostname, port };
}

function ipv4(text: string): string {
  if (!IPV4_REGEXP.test(text)) throw malformed("it has no IPv4 address");
  return text;
}

/** An address in the form that Deno uses. */
function ipv6(text: string): string {
  const url = `http://[${text}]`;
  if (!IPV6_REGEXP.test(text) || !URL.canParse(url)) {
    throw malformed("it has no IPv6 address");
  }
  const hostname = new URL(url).hostname.slice(1, -1);
  const [, high, low] = MAPPED_REGEXP.exec(hostname) ?? [];
  if (high === undefined || low === undefined) return hostname;
  const number = parseInt(high, 16) * 0x10000 + parseInt(low, 16);
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, number);
  return `::ffff:${formatIpv4(bytes)}`;
}

function port(text: string): number {
  if (!PORT_REGEXP.test(text) || Number(text) > MAX_PORT) {
    throw malformed("it has no port");
  }
  return Number(text);
}

function formatIpv4(bytes: Uint8Array): string {
  return bytes.join(".");
}

function formatIpv6(bytes: Uint8Array): string {
  const groups: string[] = [];
  for (let i = 0; i < 16; i += 2) {
    groups.push((bytes[i]! << 8 | bytes[i + 1]!).toString(16));
  }
  return ipv6(groups.join(":"));
}

function malformed(why: string): ProxyHeaderError {
  return new ProxyHeaderError(`Cannot read a PROXY header: ${why}`);
}
