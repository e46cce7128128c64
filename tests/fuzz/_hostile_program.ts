/**
 * A program with hostile replicas, processes and workers of a pool, one after
 * the other by their seeds, and an honest client that is served meanwhile.
 * Prints what it cost: FIRST_SEED COUNT.
 */
// deno-lint-ignore-file no-console

import { Process, ProcessPool, SharedQueue } from "../../mod.ts";
import { Hostile, module, QuietServer } from "./_hostile_module.ts";
import { TurnWatch } from "./_time.ts";

const [first = 1, count = 200] = Deno.args.map(Number);
/** How long an attacker is left alone. */
const LEFT_ALONE_MS = 1_500;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Asks for a line; `null` if the connection ends before. */
async function ask(port: number, line: string): Promise<string | null> {
  const conn = await Deno.connect({ port });
  try {
    await conn.write(encoder.encode(line + "\n"));
    const buffer = new Uint8Array(100);
    const length = await conn.read(buffer);
    return length === null ? null : decoder.decode(buffer.subarray(0, length));
  } catch {
    return null;
  } finally {
    conn.close();
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Asks until an honest replica answers. */
async function askHonestly(port: number): Promise<number> {
  for (let tries = 1;; tries++) {
    const answer = await Promise.race([ask(port, "hello"), pause(2_000)]);
    if (answer === "ok hello\n") return tries;
  }
}

function memory(): number {
  return Deno.memoryUsage().rss / 2 ** 20;
}

const server = new QuietServer({ port: 0 }, Hostile, {
  module,
  workers: 3,
  permissions: "none",
  stallTimeout: 1_000,
});
/** How often replicas and processes ended how. */
const ends: Record<string, number> = {};
function noteEnd(how: string): void {
  const what = how.replace(/:.*| code.*| by.*/gs, "");
  ends[what] = (ends[what] ?? 0) + 1;
}
server.on("replicaExit", ({ status }) => noteEnd(`a replica ${status}`));
void server.serveForever();
await server.ready;
const { port } = server.serverAddress as Deno.NetAddr;
const queue = new SharedQueue<unknown>({ maxSize: 10 });
await askHonestly(port);

const before = memory();
let most = before;
const looks = setInterval(() => most = Math.max(most, memory()), 10);
const turns = new TurnWatch();
const costly: string[] = [];

/** Notes an attack that held a turn for long, or took much memory. */
async function watched(what: string, attack: () => Promise<unknown>) {
  turns.longest = 0;
  const start = most = memory();
  await attack();
  const more = most - start;
  longest = Math.max(longest, turns.longest);
  mostMemory = Math.max(mostMemory, most - before);
  if (turns.longest > 50 || more > 64) {
    costly.push(
      `${what}: ${turns.longest.toFixed(0)} ms, ${more.toFixed(0)} MB`,
    );
  }
}
let longest = 0;
let mostMemory = 0;
let retries = 0;

for (let seed = first; seed < first + count; seed++) {
  await watched(`replica ${seed}`, async () => {
    const attacked = ask(port, `attack ${seed}`);
    await Promise.race([attacked, pause(LEFT_ALONE_MS)]);
    retries += await askHonestly(port) - 1;
  });
  await watched(`process ${seed}`, async () => {
    await using process = new Process<unknown>({
      target: "work",
      args: [seed, "process", queue] as unknown as [],
      module,
      permissions: "none",
    });
    process.start();
    process.result.then(
      () => noteEnd("a process returned"),
      ({ name, message }) =>
        noteEnd(
          name === "RunnerExitError"
            ? message.replace(/.*: it/s, "a process")
            : `a process threw ${name}`,
        ),
    );
    await Promise.race([process.join(), pause(LEFT_ALONE_MS)]);
    process.kill();
    await process.join();
  });
  if (seed % 5 === 0) {
    await watched(`worker ${seed}`, async () => {
      const pool = new ProcessPool({ module, workers: 1, permissions: "none" });
      const done = pool.submit("work", seed, "worker", null).catch(() => {});
      await Promise.race([done, pause(LEFT_ALONE_MS)]);
      await pool.terminate();
    });
  }
  while (queue.size > 0) await queue.get();
}

turns.stop();
clearInterval(looks);
console.log(JSON.stringify({
  seeds: count,
  retries,
  longestTurn: Math.round(longest),
  memory: Math.round(mostMemory),
  ends,
  costly,
}));
Deno.exit();
