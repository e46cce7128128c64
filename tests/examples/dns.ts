/** One DNS class for UDP and TCP. `dig @127.0.0.1 -p 5353 deno.example [+tcp]` */

import {
  RequestHandler,
  TCPServer,
  UDPServer,
} from "@socketserver/socketserver";

const ZONE = new Map([["deno.example", [192, 0, 2, 1]]]);

export class DnsHandler extends RequestHandler {
  override async handle() {
    if ("packet" in this.request) {
      await this.wfile.write(answer(this.request.packet));
      return;
    }
    for (;;) { // over TCP a length goes before each message
      const length = await this.rfile.readExact(2).catch(() => null);
      if (length === null) return;
      const query = await this.rfile.readExact(length[0]! << 8 | length[1]!);
      const reply = answer(query);
      await this.wfile.write(
        new Uint8Array([reply.length >> 8, reply.length, ...reply]),
      );
    }
  }
}

function answer(query: Uint8Array): Uint8Array {
  const labels = [];
  let at = 12;
  for (let size; (size = query[at++] ?? 0) > 0; at += size) {
    labels.push(new TextDecoder().decode(query.subarray(at, at + size)));
  }
  const address = ZONE.get(labels.join(".").toLowerCase());
  const isA = query[at] === 0 && query[at + 1] === 1;
  const found = address !== undefined && isA ? 1 : 0;
  const code = address === undefined ? 3 : 0; // NXDOMAIN
  return new Uint8Array([
    ...[query[0]!, query[1]!, 0x85, code, 0, 1, 0, found, 0, 0, 0, 0],
    ...query.subarray(12, at + 4),
    ...(found ? [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address!] : []),
  ]);
}

if (import.meta.main) {
  const udp = new UDPServer({ port: 5353 }, DnsHandler);
  const tcp = new TCPServer({ port: 5353 }, DnsHandler);
  await Promise.race([udp.serveForever(), tcp.serveForever()]);
}
