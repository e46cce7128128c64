import { assertEquals, assertThrows } from "@std/assert";
import {
  beginsHeader,
  crc32c,
  MAX_HEADER_BYTES,
  parseProxyHeader,
  ProxyHeaderError,
} from "../../server/core/proxy_protocol.ts";
import {
  ascii,
  binaryHeader,
  concat,
  IPV4_BLOCK,
  value,
  withChecksum,
} from "./_proxy_headers.ts";

const IPV4_ENDS = {
  source: { transport: "tcp", hostname: "192.168.0.1", port: 56324 },
  destination: { transport: "tcp", hostname: "192.168.0.11", port: 443 },
};
const EXAMPLE = "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n";
const FULL = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";

Deno.test("parseProxyHeader() reads the example of the specification", () => {
  const request = "GET / HTTP/1.1\r\nHost: 192.168.0.11\r\n\r\n";
  const header = parseProxyHeader(ascii(EXAMPLE + request))!;
  assertEquals(header, { length: EXAMPLE.length, ends: IPV4_ENDS } as never);
});

Deno.test("parseProxyHeader() reads the longest lines of the specification", () => {
  const longest = [
    ["PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", 56],
    [`PROXY TCP6 ${FULL} ${FULL} 65535 65535\r\n`, 104],
    ["PROXY UNKNOWN\r\n", 15],
    [`PROXY UNKNOWN ${FULL} ${FULL} 65535 65535\r\n`, 107],
  ] as const;
  for (const [line, length] of longest) {
    assertEquals(parseProxyHeader(ascii(line))?.length, length, line);
  }
  assertEquals(parseProxyHeader(ascii(longest[3][0]))?.ends, null);
  const { ends } = parseProxyHeader(ascii(longest[1][0]))!;
  assertEquals(ends?.source, {
    transport: "tcp",
    hostname: FULL,
    port: 65535,
  });
});

Deno.test("parseProxyHeader() writes IPv6 addresses as Deno does", () => {
  // HAProxy writes the second form
  for (const mapped of ["::ffff:102:304", "::ffff:1.2.3.4"]) {
    const line = `PROXY TCP6 2001:DB8:0:0:0:0:0:1 ${mapped} 1 2\r\n`;
    const { ends } = parseProxyHeader(ascii(line))!;
    assertEquals(
      [ends?.source, ends?.destination].map((end) =>
        (end as Deno.NetAddr).hostname
      ),
      ["2001:db8::1", "::ffff:1.2.3.4"],
    );
  }
});

Deno.test("parseProxyHeader() refuses each line that is not exactly one", () => {
  const wrong = [
    "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
    "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
    "PROXY TCP4 1.2.3.4.5 1.2.3.4 1 2\r\n",
    "PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
    "PROXY TCP4 256.2.3.4 1.2.3.4 1 2\r\n",
    "PROXY TCP4 1.2.3.4. 1.2.3.4 1 2\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
    "PROXY TCP4 ::1 ::1 1 2\r\n",
    "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
    "PROXY TCP6 ::1::1 ::1 1 2\r\n",
    "PROXY TCP6 :: 1:2:3:4:5:6:7:8:9 1 2\r\n",
    "PROXY TCP6 ::12345 ::1 1 2\r\n",
    "PROXY TCP6 ::1]@x[:: ::1 1 2\r\n",
    "PROXY TCP6 ::1%eth0 ::1 1 2\r\n",
    "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
    "PROXY UNKNOWNS\r\n",
    "PROXY UNKNOWN \rX\r\n",
    "PROXY\r\n",
    "GET / HTTP/1.1\r\n",
    `PROXY UNKNOWN ${"x".repeat(92)}\r\n`,
    "PROXY ".padEnd(107, "x"),
  ];
  for (const line of wrong) {
    assertThrows(
      () => parseProxyHeader(ascii(line)),
      ProxyHeaderError,
      "",
      line,
    );
  }
});

Deno.test("parseProxyHeader() reads TCP and UDP over IPv4 and IPv6", () => {
  const ipv6 = concat(
    new Uint8Array([0x20, 1, 0xd, 0xb8, ...new Uint8Array(11), 1]),
    new Uint8Array([...new Uint8Array(15), 1]),
    new Uint8Array([0, 1, 0xff, 0xff]),
  );
  for (const [protocol, transport] of [[1, "tcp"], [2, "udp"]] as const) {
    const four = binaryHeader(0x21, 0x10 | protocol, IPV4_BLOCK);
    assertEquals(parseProxyHeader(four)!, {
      length: 28,
      ends: {
        source: { ...IPV4_ENDS.source, transport },
        destination: { ...IPV4_ENDS.destination, transport },
      },
    } as never);
    const six = binaryHeader(0x21, 0x20 | protocol, ipv6);
    assertEquals(parseProxyHeader(six)!, {
      length: 52,
      ends: {
        source: { transport, hostname: "2001:db8::1", port: 1 },
        destination: { transport, hostname: "::1", port: 65535 },
      },
    });
  }
});

Deno.test("parseProxyHeader() reads Unix paths, long, unnamed and abstract", () => {
  const block = (source: string, destination: string) => {
    const bytes = new Uint8Array(216);
    bytes.set(ascii(source));
    bytes.set(ascii(destination), 108);
    return bytes;
  };
  const long = "/".padEnd(108, "x");
  for (
    const [source, destination] of [["/run/a", long], ["", "\0name"]] as const
  ) {
    for (const [family, transport] of [[0x31, "unix"], [0x32, "unixpacket"]]) {
      const bytes = binaryHeader(
        0x21,
        family as number,
        block(source, destination),
      );
      assertEquals(parseProxyHeader(bytes)?.ends, {
        source: { transport, path: source },
        destination: { transport, path: destination },
      } as never);
    }
  }
});

Deno.test("parseProxyHeader() takes LOCAL and UNSPEC for the proxy's own connections", () => {
  const own = [
    binaryHeader(0x20, 0x00),
    binaryHeader(0x20, 0x11, IPV4_BLOCK),
    binaryHeader(0x20, 0x11),
    binaryHeader(0x20, 0xff, ascii("anything")),
    binaryHeader(0x21, 0x00),
    binaryHeader(0x21, 0x00, value(0x04, ascii("nothing"))),
    binaryHeader(0x21, 0x10, IPV4_BLOCK),
    binaryHeader(0x21, 0x01),
  ];
  for (const bytes of own) {
    assertEquals(parseProxyHeader(concat(bytes, ascii("data"))), {
      length: bytes.length,
      ends: null,
    });
  }
});

Deno.test("parseProxyHeader() refuses each binary header that is malformed", () => {
  const wrong = {
    "version 1": binaryHeader(0x11, 0x11, IPV4_BLOCK),
    "version 3": binaryHeader(0x31, 0x11, IPV4_BLOCK),
    "command 2": binaryHeader(0x22, 0x11, IPV4_BLOCK),
    "family 4": binaryHeader(0x21, 0x41, new Uint8Array(216)),
    "protocol 3": binaryHeader(0x21, 0x13, IPV4_BLOCK),
    "IPv4 cut": binaryHeader(0x21, 0x11, IPV4_BLOCK.subarray(1)),
    "IPv6 cut": binaryHeader(0x21, 0x21, new Uint8Array(35)),
    "Unix cut": binaryHeader(0x21, 0x31, new Uint8Array(215)),
    "value cut": binaryHeader(0x21, 0x11, IPV4_BLOCK, Uint8Array.of(4, 0, 1)),
    "value's head cut": binaryHeader(0x21, 0x11, IPV4_BLOCK, Uint8Array.of(4)),
    "oversize": binaryHeader(
      0x21,
      0x11,
      IPV4_BLOCK,
      value(4, new Uint8Array(MAX_HEADER_BYTES)),
    ).subarray(0, 16),
    "short checksum": binaryHeader(
      0x21,
      0x11,
      IPV4_BLOCK,
      value(3, new Uint8Array(3)),
    ),
  };
  for (const [what, bytes] of Object.entries(wrong)) {
    assertThrows(() => parseProxyHeader(bytes), ProxyHeaderError, "", what);
  }
});

Deno.test("crc32c() gives the value of RFC 3720's example", () => {
  assertEquals(crc32c(ascii("123456789")), 0xe3069283);
  assertEquals(crc32c(new Uint8Array(32)), 0x8a9136aa);
});

Deno.test("parseProxyHeader() checks the checksum", () => {
  const good = withChecksum(0x21, 0x11, IPV4_BLOCK, value(2, ascii("host")));
  assertEquals(parseProxyHeader(good)?.ends, IPV4_ENDS as never);
  const type = good.length - 7; // without it there is no checksum
  for (let at = 16; at < good.length; at++) {
    if (at === type) continue;
    const bad = good.slice();
    bad[at]! ^= 1;
    assertThrows(() => parseProxyHeader(bad), ProxyHeaderError, "", `${at}`);
  }
  const twice = withChecksum(0x21, 0x11, IPV4_BLOCK, value(3, ascii("four")));
  assertThrows(() => parseProxyHeader(twice), ProxyHeaderError);
});

Deno.test("parseProxyHeader() waits for the rest at every split", () => {
  const headers = [
    ascii(EXAMPLE),
    ascii("PROXY UNKNOWN\r\n"),
    binaryHeader(0x20, 0x00),
    withChecksum(0x21, 0x11, IPV4_BLOCK),
  ];
  for (const header of headers) {
    for (let length = 1; length < header.length; length++) {
      const part = header.subarray(0, length);
      assertEquals(beginsHeader(part), true);
      assertEquals(parseProxyHeader(part), null, `${length}`);
    }
    const followed = concat(header, header);
    assertEquals(parseProxyHeader(followed)?.length, header.length);
  }
});

Deno.test("parseProxyHeader() reads what else a header tells", () => {
  const values = [
    value(1, ascii("h2")),
    value(2, ascii("a.test")),
    value(4, ascii("padding")),
    value(5, ascii("7f00:1")),
    value(0xe1, ascii("custom")),
  ];
  const tls = (client: number, verify: number) =>
    value(
      0x20,
      concat(
        Uint8Array.of(client, 0, 0, 0, verify),
        value(0x21, ascii("TLSv1.3")),
        value(0x22, ascii("someone")),
        value(0x23, ascii("TLS_AES_128_GCM_SHA256")),
        value(0x24, ascii("SHA256")),
      ),
    );
  const told = { alpn: "h2", authority: "a.test", uniqueId: "7f00:1" };
  const texts = {
    version: "TLSv1.3",
    commonName: "someone",
    cipher: "TLS_AES_128_GCM_SHA256",
  };
  const cases: [Uint8Array[], object][] = [
    [values, told],
    [[...values, tls(7, 0)], { ...told, tls: { ...texts, isVerified: true } }],
    [[tls(5, 0)], { tls: { ...texts, isVerified: true } }],
    [[tls(7, 1)], { tls: { ...texts, isVerified: false } }],
    [[tls(1, 0)], { tls: { ...texts, isVerified: false } }],
    [[tls(0, 0), values[1]!], { authority: "a.test" }],
  ];
  for (const [given, info] of cases) {
    const header = parseProxyHeader(
      withChecksum(0x21, 0x11, IPV4_BLOCK, ...given),
    );
    assertEquals(header?.info as object, info);
    assertEquals(header?.ends, IPV4_ENDS as never);
  }
  for (const bad of [[1], [1, 0, 0, 0, 0, 0x21, 0, 9, 65]]) {
    const cut = binaryHeader(
      0x21,
      0x11,
      IPV4_BLOCK,
      value(0x20, Uint8Array.from(bad)),
    );
    assertThrows(() => parseProxyHeader(cut), ProxyHeaderError, "cut off");
  }
});
