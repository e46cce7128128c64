/** What the system is told of connections, asked of the system itself. */

import { assertEquals } from "@std/assert";
import {
  BaseRequestHandler,
  TCPServer,
  type TcpServerOptions,
} from "../../mod.ts";
import { dial, readToEnd, test } from "./_support.ts";
import { LINUX_ONLY } from "../support/system.ts";

const SOL_SOCKET = 1;
const IPPROTO_TCP = 6;
const SO_KEEPALIVE = 9;
const TCP_NODELAY = 1;

/** The descriptor of a connection of this process, by its two ports. */
function descriptorOf(conn: Deno.Conn): number {
  const hex = (address: Deno.Addr) =>
    (address as Deno.NetAddr).port.toString(16).toUpperCase().padStart(4, "0");
  const inode = Deno.readTextFileSync("/proc/self/net/tcp").split("\n")
    .map((row) => row.trim().split(/\s+/))
    .find(([, local, remote]) =>
      local?.endsWith(`:${hex(conn.localAddr)}`) &&
      remote?.endsWith(`:${hex(conn.remoteAddr)}`)
    )?.[9];
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      const target = Deno.readLinkSync(`/proc/self/fd/${name}`);
      if (target === `socket:[${inode}]`) return Number(name);
    } catch {
      // It was the descriptor of the directory
    }
  }
  throw new Error("The connection has no descriptor");
}

function getOption(fd: number, level: number, name: number): boolean {
  const libc = Deno.dlopen("libc.so.6", {
    getsockopt: {
      parameters: ["i32", "i32", "i32", "buffer", "buffer"],
      result: "i32",
    },
  });
  const value = new Int32Array(1);
  const length = new Uint32Array([4]);
  const result = libc.symbols.getsockopt(fd, level, name, value, length);
  libc.close();
  assertEquals(result, 0);
  return value[0] !== 0;
}

class Teller extends BaseRequestHandler<Deno.TcpConn> {
  override async handle(): Promise<void> {
    const fd = descriptorOf(this.request);
    const options = [
      getOption(fd, IPPROTO_TCP, TCP_NODELAY),
      getOption(fd, SOL_SOCKET, SO_KEEPALIVE),
    ];
    await this.request.write(new TextEncoder().encode(options.join()));
  }
}

const CASES: [TcpServerOptions, string][] = [
  [{}, "true,false"],
  [{ noDelay: false, keepAlive: true }, "false,true"],
];

for (const [options, told] of CASES) {
  test(
    `TCPServer sets noDelay and keepAlive (${JSON.stringify(options)})`,
    async () => {
      await using server = new TCPServer({ port: 0 }, Teller, options);
      server.serveForever();
      using conn = await dial(server);
      assertEquals(await readToEnd(conn), told);
    },
    LINUX_ONLY,
  );
}
