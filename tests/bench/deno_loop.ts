/**
 * The loops that one writes by hand: `deno_loop.ts tcp|pipe|udp|twice PORT`, or
 * `unix PATH`. `twice` is two processes that share a port.
 *
 * @module
 */
// deno-lint-ignore-file no-console

const [transport, at] = Deno.args;
const hostname = "127.0.0.1";

async function echo(connection: Deno.Conn) {
  const buffer = new Uint8Array(65_536);
  try {
    for (let n; (n = await connection.read(buffer)) !== null;) {
      for (let sent = 0; sent < n;) {
        sent += await connection.write(buffer.subarray(sent, n));
      }
    }
  } catch {
    // The client left
  }
  connection.close();
}

/** The short way, which streams everything. */
async function pipe(connection: Deno.Conn) {
  await connection.readable.pipeTo(connection.writable).catch(() => {});
}

async function echoPackets(socket: Deno.DatagramConn) {
  const buffer = new Uint8Array(65_536);
  for (;;) {
    const [packet, from] = await socket.receive(buffer);
    await socket.send(packet, from);
  }
}

/** Starts the second process, which ends with this one. */
async function startOther() {
  const flags = ["run", "-A", "--unstable-net", import.meta.url];
  const { stdout } = new Deno.Command(Deno.execPath(), {
    args: [...flags, "other", at!],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  await stdout.getReader().read();
}

async function endWithParent() {
  await Deno.stdin.read(new Uint8Array(1));
  Deno.exit();
}

if (transport === "twice") await startOther();
if (transport === "other") endWithParent();
if (transport === "udp") {
  const options = { transport: "udp", hostname, port: Number(at) } as const;
  echoPackets(Deno.listenDatagram(options));
  console.log("ready");
} else {
  const listener = transport === "unix"
    ? Deno.listen({ transport, path: at! })
    : Deno.listen({
      hostname,
      port: Number(at),
      reusePort: transport === "twice" || transport === "other",
    });
  console.log("ready");
  const serve = transport === "pipe" ? pipe : echo;
  for await (const connection of listener) serve(connection);
}
