/**
 * What `loadgen.c` does, with its arguments, for machines without a C compiler.
 * It is no faster than the servers that it measures, so the ratios come out
 * nearer to 1 than they are. It knows no rate and no times.
 *
 * @module
 */
// deno-lint-ignore-file no-console

const [transport, host, port, connections, size, seconds, renew, pipeline] =
  Deno.args;
const line = "x".repeat(Number(size) - 1) + "\n";
const message = new TextEncoder().encode(line.repeat(Number(pipeline)));
const deadline = performance.now() + Number(seconds) * 1000;
let messages = 0;
let errors = 0;

function connect(): Promise<Deno.Conn> {
  return transport === "unix"
    ? Deno.connect({ transport, path: host! })
    : Deno.connect({ hostname: host!, port: Number(port) });
}

async function exchange(connection: Deno.Conn, buffer: Uint8Array) {
  await connection.write(message);
  for (let got = 0; got < message.length;) {
    const n = await connection.read(buffer);
    if (n === null) throw new Deno.errors.UnexpectedEof();
    got += n;
  }
  messages += Number(pipeline);
}

async function talk() {
  const buffer = new Uint8Array(message.length);
  while (performance.now() < deadline) {
    try {
      using connection = await connect();
      do await exchange(connection, buffer); while (
        renew === "0" && performance.now() < deadline
      );
    } catch {
      errors++;
    }
  }
}

async function sendPackets() {
  const hostname = "127.0.0.1";
  const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  const address = {
    transport: "udp",
    hostname: host!,
    port: Number(port),
  } as const;
  const buffer = new Uint8Array(message.length);
  while (performance.now() < deadline) {
    await socket.send(message, address);
    await socket.receive(buffer);
    messages++;
  }
}

const client = transport === "udp" ? sendPackets : talk;
const ended = Promise.all(
  Array.from({ length: Number(connections) }, () => client()),
);
// A packet that was lost leaves its client waiting
const timeUp = new Promise((resolve) =>
  setTimeout(resolve, Number(seconds) * 1000 + 100)
);
await Promise.race([ended, timeUp]);
console.log(Math.round(messages / Number(seconds)), errors, 0, 0, 0);
Deno.exit();
