import { assertEquals } from "@std/assert";
import { statsWhen, STREAM_MODES, testEach } from "../replicas/_support.ts";
import { Ends } from "./_ends_fixture.ts";
import {
  ascii,
  concat,
  IPV4_BLOCK,
  value,
  withChecksum,
} from "./_proxy_headers.ts";
import { dial, readToEnd, writeAll } from "./_support.ts";

const HEADERS: [header: Uint8Array, told: string][] = [
  [ascii("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"), ""],
  [withChecksum(0x21, 0x11, IPV4_BLOCK), ""],
  [
    withChecksum(0x21, 0x11, IPV4_BLOCK, value(2, ascii("a.test"))),
    ' {"authority":"a.test"}',
  ],
];
const CLIENT = "192.168.0.1:56324";

testEach(
  STREAM_MODES,
  "reads PROXY headers, together with data and apart, and counts bad ones",
  async (mode) => {
    const server = mode.open(Ends, {
      workers: 1,
      proxyProtocol: "require",
      trustedProxies: ["127.0.0.1"],
      handshakeTimeout: 10_000,
    });
    const serving = server.serveForever();
    await server.ready;
    using silent = await dial(server);
    for (const [header, told] of HEADERS) {
      const hello = ascii("hello\n");
      for (const parts of [[header, hello], [concat(header, hello)]]) {
        using client = await dial(server);
        for (const part of parts) await writeAll(client, part);
        await client.closeWrite();
        const answer = await readToEnd(client);
        assertEquals(
          answer,
          `${CLIENT} ${CLIENT} 192.168.0.11:443${told}\nhello\n`,
        );
      }
    }
    using bad = await dial(server);
    await writeAll(bad, "hello\n");
    assertEquals(await readToEnd(bad).catch(() => ""), "");
    await statsWhen(server, (s) => s.badProxyHeaders === 1, "it is counted");
    await silent.closeWrite();
    assertEquals(await readToEnd(silent), "");
    await server.serverClose();
    await serving;
  },
);
