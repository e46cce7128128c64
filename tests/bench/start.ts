/**
 * Measures the processor time that a thread, a process and a pool's worker take
 * from start to end, by what the user's module imports, beside a bare `Worker`
 * and a bare `deno run`: `deno run -A tests/bench/start.ts [ROUNDS]`.
 *
 * They start in turns, so that what else the machine does hits all of them.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { ProcessPool, ThreadPool } from "../../workers/pool/pool.ts";
import { Process } from "../../workers/threads/process.ts";
import { Thread } from "../../workers/threads/thread.ts";
import { processorTime } from "./processor.ts";

const ROUNDS = 25;

function dataUrl(source: string): string {
  return `data:application/javascript,${encodeURIComponent(source)}`;
}

/** The import of one of this package's modules, or none. */
function importing(path: string): string {
  const url = new URL(`../../${path}`, import.meta.url).href;
  return path === "" ? "" : `import ${JSON.stringify(url)};`;
}

async function worker(): Promise<void> {
  const worker = new Worker(dataUrl("postMessage(1)"), { type: "module" });
  await new Promise((resolve) => worker.onmessage = resolve);
  worker.terminate();
}

async function run(): Promise<void> {
  const args = ["run", "-A", "--quiet", "--no-prompt", dataUrl("")];
  await new Deno.Command(Deno.execPath(), { args }).output();
}

async function activity(
  Class: typeof Thread | typeof Process,
  module: string,
): Promise<void> {
  const activity = new Class({ target: "first", module });
  activity.start();
  await activity.result;
  await activity.join();
}

async function pool(
  Class: typeof ThreadPool | typeof ProcessPool,
  module: string,
): Promise<void> {
  const pool = new Class({ module, workers: 1 });
  await pool.submit("first");
  await pool.shutdown();
}

/** What starts, and the one that it is compared with. */
const contenders: [name: string, start: () => Promise<void>, bare: number][] = [
  ["bare Worker", worker, 0],
  ["bare deno run", run, 1],
];
for (const path of ["", "workers/mod.ts", "mod.ts"]) {
  const module = dataUrl(`${importing(path)}export function first() {}`);
  const of = path === "" ? "" : `, ${path}`;
  contenders.push(
    [`Thread${of}`, () => activity(Thread, module), 0],
    [`a ThreadPool's worker${of}`, () => pool(ThreadPool, module), 0],
    [`Process${of}`, () => activity(Process, module), 1],
    [`a ProcessPool's worker${of}`, () => pool(ProcessPool, module), 1],
  );
}

const rounds = Number(Deno.args[0] ?? ROUNDS);
const sums = contenders.map(() => 0);
// The first round loads what the others find
for (let round = -1; round < rounds; round++) {
  for (const [index, [, start]] of contenders.entries()) {
    const before = processorTime(Deno.pid);
    await start();
    if (round >= 0) sums[index]! += processorTime(Deno.pid) - before;
  }
}
for (const [index, [name, , bare]] of contenders.entries()) {
  const time = sums[index]! / rounds * 1_000;
  console.log(
    `${name.padEnd(40)}${time.toFixed(1).padStart(6)} ms` +
      `${(sums[index]! / sums[bare]!).toFixed(2).padStart(7)}`,
  );
}
