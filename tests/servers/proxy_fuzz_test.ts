/** PROXY headers that nobody meant to send, in pieces that nobody foresaw. */

import { assertEquals, assertRejects } from "@std/assert";
import { ProxyHeaders } from "../../server/core/proxied_connection.ts";
import {
  beginsHeader,
  parseProxyHeader,
  ProxyHeaderError,
} from "../../server/core/proxy_protocol.ts";
import {
  ascii,
  binaryHeader,
  concat,
  IPV4_BLOCK,
  SIGNATURE,
  value,
  withChecksum,
} from "./_proxy_headers.ts";

/** `deno task fuzz` runs more. */
const RUNS = Number(Deno.env.get("FUZZ_RUNS") ?? 100_000);
const SEEDS = [
  ascii("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"),
  ascii("PROXY TCP6 2001:db8::1 ::1 1 2\r\n"),
  ascii("PROXY UNKNOWN x\r\n"),
  binaryHeader(0x21, 0x21, new Uint8Array(36), value(4, ascii("noop"))),
  binaryHeader(0x21, 0x31, new Uint8Array(216)),
  withChecksum(0x21, 0x11, IPV4_BLOCK, value(2, ascii("host"))),
  binaryHeader(0x21, 0x11, IPV4_BLOCK, value(4, new Uint8Array(700))),
  SIGNATURE,
];

/** Numbers below a bound, the same in every run. */
function randomly(seed: number): (below: number) => number {
  return (below) => {
    seed = Math.imul(seed ^ seed >>> 15, 0x2c1b3c6d) + 0x9e3779b9 | 0;
    return (seed >>> 0) % below;
  };
}

/** One of the seeds with some bytes changed. */
function mutation(random: (below: number) => number, edits: number) {
  const bytes = SEEDS[random(SEEDS.length)]!.slice();
  for (; edits > 0; edits--) bytes[random(bytes.length)] = random(256);
  return bytes;
}

Deno.test("parseProxyHeader() gives a header, null or ProxyHeaderError for any mutation", () => {
  const random = randomly(20261123);
  for (let run = 0; run < RUNS; run++) {
    const bytes = mutation(random, 1 + random(4));
    const cut = bytes.subarray(0, 1 + random(bytes.length));
    try {
      const header = parseProxyHeader(cut);
      if (header === null) continue;
      if (header.length > cut.length) throw new Error(`Too long: ${cut}`);
      if (header.ends === null) continue;
      const { source } = header.ends;
      if ("port" in source && source.port > 65_535) throw new Error(`${cut}`);
    } catch (error) {
      if (!(error instanceof ProxyHeaderError)) throw error;
    }
  }
});

/** A connection that gives bytes in pieces of random sizes. */
function connectionOf(bytes: Uint8Array, random: (below: number) => number) {
  let rest = bytes;
  return {
    read(into: Uint8Array): Promise<number | null> {
      if (rest.length === 0) return Promise.resolve(null);
      const most = Math.min(rest.length, into.length);
      const count = 1 + random(random(2) === 0 ? most : Math.min(most, 9));
      into.set(rest.subarray(0, count));
      rest = rest.subarray(count);
      return Promise.resolve(count);
    },
    [Symbol.dispose]() {},
  } as unknown as Deno.Conn;
}

async function readRest(conn: Deno.Conn): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const chunk = new Uint8Array(64);
    const count = await conn.read(chunk);
    if (count === null) return concat(...chunks);
    chunks.push(chunk.subarray(0, count));
  }
}

/** What the parser makes of all the bytes at once. */
function parseWhole(bytes: Uint8Array) {
  try {
    return parseProxyHeader(bytes);
  } catch {
    return null;
  }
}

for (const protocol of ["require", "accept"] as const) {
  Deno.test(`ProxyHeaders reads the same from pieces as from the whole, ${protocol}`, async () => {
    const random = randomly(7);
    const headers = new ProxyHeaders({ proxyProtocol: protocol });
    const peer: Deno.Addr = { transport: "tcp", hostname: "9.9.9.9", port: 9 };
    for (let run = 0; run < RUNS / 50; run++) {
      const mutated = mutation(random, random(3));
      const bytes = concat(mutated, new Uint8Array(random(900)).fill(65));
      const header = parseWhole(bytes);
      const conn = connectionOf(bytes, random);
      if (header !== null) {
        const client = await headers.read(conn, peer);
        assertEquals(client, header.ends?.source ?? peer);
        assertEquals(await readRest(conn), bytes.subarray(header.length));
      } else if (protocol === "accept" && !beginsHeader(bytes)) {
        assertEquals(await headers.read(conn, peer), peer);
        assertEquals(await readRest(conn), bytes);
      } else {
        await assertRejects(() => headers.read(conn, peer), ProxyHeaderError);
      }
    }
  });
}
