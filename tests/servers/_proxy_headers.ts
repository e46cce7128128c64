/** Headers of the PROXY protocol, right and wrong. */

import { crc32c } from "../../server/core/proxy_protocol.ts";

/** What a binary header begins with. */
export const SIGNATURE: Uint8Array = Uint8Array.of(
  ...[0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a],
);
/** 192.168.0.1:56324 to 192.168.0.11:443. */
export const IPV4_BLOCK: Uint8Array = Uint8Array.of(
  ...[192, 168, 0, 1, 192, 168, 0, 11, 220, 4, 1, 187],
);

/** The bytes of a text. */
export function ascii(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** Bytes one after the other. */
export function concat(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

/** A typed value of a binary header. */
export function value(type: number, bytes: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(type, bytes.length >> 8, bytes.length), bytes);
}

/** A binary header. */
export function binaryHeader(
  versionAndCommand: number,
  family: number,
  ...rest: Uint8Array[]
): Uint8Array<ArrayBuffer> {
  const body = concat(...rest);
  return concat(
    SIGNATURE,
    Uint8Array.of(versionAndCommand, family, body.length >> 8, body.length),
    body,
  );
}

/** A binary header that ends with its checksum. */
export function withChecksum(
  versionAndCommand: number,
  family: number,
  ...rest: Uint8Array[]
): Uint8Array<ArrayBuffer> {
  const sum = value(0x03, new Uint8Array(4));
  const header = binaryHeader(versionAndCommand, family, ...rest, sum);
  new DataView(header.buffer).setUint32(header.length - 4, crc32c(header));
  return header;
}
