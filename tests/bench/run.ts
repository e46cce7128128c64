/**
 * Measures the servers beside their peers: `deno task bench [--rounds N]
 * [--seconds N] [--connections N] [ROW...]`.
 *
 * Beside rows of requests there are four on replicas: "shard" and "relay" are
 * compared with the event loop; "work-threads" and "work-processes", whose
 * handler computes, with one worker.
 *
 * The servers of a row run side by side and are loaded in turns, so that what
 * else the machine does hits all of them; a rate is the median of the rounds.
 * Rates of two runs can't be compared, ratios within one can.
 *
 * Pools are measured by `deno run -A tests/bench/pool/run.ts`.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { parseArgs } from "node:util";
import { type Contender, ROWS } from "./rows.ts";

const MESSAGE_SIZE = 64;
const WARM_UP_SECONDS = 0.5;
/** Above 32768 the ports collide with the clients' own. */
const FIRST_PORT = 21_000;
const FOLDER_PATH = new URL(".", import.meta.url).pathname;

interface Load {
  transport: "tcp" | "udp" | "unix";
  renew: boolean;
  connections: number;
}

interface Started {
  name: string;
  at: string;
  rates: number[];
  errors: number;
  process: Deno.ChildProcess;
}

/** Runs a program to its end; `null` if it fails or isn't there. */
async function output(command: string, args: string[]): Promise<string | null> {
  try {
    const process = new Deno.Command(command, { args, stderr: "null" });
    const { success, stdout } = await process.output();
    return success ? new TextDecoder().decode(stdout) : null;
  } catch {
    return null;
  }
}

/** The command that loads a server. */
async function makeLoadGenerator(dir: string): Promise<string[]> {
  const path = `${dir}/loadgen`;
  const source = `${FOLDER_PATH}loadgen.c`;
  if (await output("cc", ["-O2", "-o", path, source]) !== null) return [path];
  console.log(
    "No C compiler: the load comes from Deno, which blurs the ratios",
  );
  return [Deno.execPath(), "run", "-A", `${FOLDER_PATH}loadgen.ts`];
}

async function start(contender: Contender, at: string): Promise<Started> {
  const { name, command, args } = contender;
  const process = new Deno.Command(
    command === "deno" ? Deno.execPath() : command,
    {
      args: args.map((arg) => arg === "AT" ? at : arg),
      cwd: FOLDER_PATH,
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    },
  ).spawn();
  const reader = process.stdout.getReader();
  const { done } = await reader.read();
  reader.releaseLock();
  if (done) throw new Error(`"${name}" did not start`);
  return { name, at, rates: [], errors: 0, process };
}

async function stop({ process }: Started): Promise<void> {
  process.kill("SIGKILL");
  await process.stdout.cancel();
  await process.status;
}

async function load(
  generator: string[],
  { transport, renew, connections }: Load,
  server: Started,
  seconds: number,
): Promise<void> {
  const target = transport === "unix"
    ? [server.at, "0"]
    : ["127.0.0.1", server.at];
  const numbers = [connections, MESSAGE_SIZE, seconds, renew ? 1 : 0];
  const args = [transport, ...target, ...numbers.map(String)];
  const [command, ...first] = generator;
  const text = await output(command!, [...first, ...args]);
  if (text === null) throw new Error(`"${server.name}" could not be loaded`);
  const [rate, errors] = text.split(" ").map(Number);
  server.rates.push(rate!);
  server.errors += errors!;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

function report(servers: Started[]): void {
  const base = median(servers[0]!.rates);
  for (const { name, rates, errors } of servers) {
    const rate = median(rates);
    const failed = errors === 0 ? "" : `   ${errors} errors`;
    console.log(
      `  ${name.padEnd(40)}${
        Math.round(rate).toLocaleString("en").padStart(9)
      }` +
        `${(rate / base).toFixed(2).padStart(7)}${failed}`,
    );
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "1.5" },
    connections: { type: "string", default: "50" },
  },
});
const connections = Number(values.connections);
const installed = new Set(["deno"]);
for (const command of ["node", "python3"]) {
  if (await output(command, ["--version"]) !== null) installed.add(command);
  else console.log(`Left out: ${command} is not installed`);
}
const dir = await Deno.makeTempDir();
const generator = await makeLoadGenerator(dir);
const servers: Started[] = [];
let port = FIRST_PORT;
console.log(`${connections} clients, ${MESSAGE_SIZE} bytes, messages a second`);
try {
  for (const { name, transport, renew = false, contenders } of ROWS) {
    if (positionals.length > 0 && !positionals.includes(name)) continue;
    for (const contender of contenders) {
      if (!installed.has(contender.command)) continue;
      const at = transport === "unix" ? `${dir}/${port++}` : String(port++);
      servers.push(await start(contender, at));
    }
    const row = { transport, renew, connections };
    for (const server of servers) {
      await load(generator, row, server, WARM_UP_SECONDS);
      server.rates.pop();
    }
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const server of servers) {
        await load(generator, row, server, Number(values.seconds));
      }
    }
    console.log(name);
    report(servers);
    await Promise.all(servers.splice(0).map(stop));
  }
} finally {
  await Promise.all(servers.map(stop));
  await Deno.remove(dir, { recursive: true });
}
