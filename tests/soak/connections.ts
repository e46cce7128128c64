/**
 * Short connections in each mode, and what they leave behind: `deno task soak
 * [COUNT]`, a million unless you say otherwise. Memory and descriptors are those
 * of the server's process and its children, after a first tenth that warms up
 * and at the end. Linux only.
 */
// deno-lint-ignore-file no-console

const MODES = [
  ["TCPServer"],
  ["ThreadingTCPServer", "shard"],
  ["ThreadingTCPServer", "relay"],
  ["ForkingTCPServer", "shard"],
  ["ForkingTCPServer", "relay"],
];
const CLIENTS = 20;
const PROGRAM = new URL("./_echo_program.ts", import.meta.url).pathname;

interface Usage {
  megabytes: number;
  descriptors: number;
}

function childrenOf(pid: number): number[] {
  const tasks = [...Deno.readDirSync(`/proc/${pid}/task`)];
  return tasks.flatMap(({ name }) =>
    Deno.readTextFileSync(`/proc/${pid}/task/${name}/children`)
      .split(" ").filter(Boolean).map(Number)
  );
}

function usageOf(pid: number): Usage {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const usage = {
    megabytes: Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1_024,
    descriptors: [...Deno.readDirSync(`/proc/${pid}/fd`)].length,
  };
  for (const child of childrenOf(pid).map(usageOf)) {
    usage.megabytes += child.megabytes;
    usage.descriptors += child.descriptors;
  }
  return usage;
}

async function connectTimes(port: number, count: number): Promise<void> {
  let left = count;
  const bytes = new TextEncoder().encode("x");
  await Promise.all(Array.from({ length: CLIENTS }, async () => {
    const buffer = new Uint8Array(8);
    while (left-- > 0) {
      using conn = await Deno.connect({ port });
      await conn.write(bytes);
      if (await conn.read(buffer) !== 1) throw new Error("No echo came back");
    }
  }));
}

const count = Number(Deno.args[0] ?? 1_000_000);
for (const args of MODES) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--quiet", PROGRAM, ...args],
    stdout: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const port = Number((await lines.read()).value);
  const started = performance.now();
  await connectTimes(port, count / 10);
  const before = usageOf(child.pid);
  await connectTimes(port, count * 9 / 10);
  const after = usageOf(child.pid);
  const rate = count / (performance.now() - started) * 1_000;
  console.log(
    `${args.join(" ")}: ${count} connections, ${rate.toFixed(0)}/s; ` +
      `memory ${before.megabytes.toFixed(0)} -> ${
        after.megabytes.toFixed(0)
      } MB, descriptors ${before.descriptors} -> ${after.descriptors}`,
  );
  child.kill("SIGTERM");
  const { code } = await child.status;
  await lines.cancel();
  if (code !== 0) throw new Error(`The server ended with code ${code}`);
}
