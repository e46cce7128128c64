/**
 * Measures how long a thread and a process take from their start to the first
 * line of the user's module, which imports this package, beside a bare `Worker`
 * and a bare `deno run`: `deno run -A tests/bench/start.ts [ROUNDS]`.
 *
 * They start in turns, so that what else the machine does hits all of them.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { Process } from "../../workers/threads/process.ts";
import { Thread } from "../../workers/threads/thread.ts";

const module = new URL("./start_module.ts", import.meta.url).href;
const ROUNDS = 25;

/** Calls back when the first line has run. */
type Start = (reached: () => void) => Promise<void>;

function dataUrl(source: string): string {
  return `data:application/javascript,${encodeURIComponent(source)}`;
}

function worker(source: string): Start {
  return async (reached) => {
    const worker = new Worker(dataUrl(source), { type: "module" });
    await new Promise((resolve) => worker.onmessage = resolve);
    reached();
    worker.terminate();
  };
}

function run(source: string): Start {
  return async (reached) => {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "--no-prompt", dataUrl(source)],
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    await reader.read();
    reached();
    await reader.cancel();
    await child.status;
  };
}

function activity(Class: typeof Thread | typeof Process): Start {
  return async (reached) => {
    const activity = new Class({ target: "first", module });
    activity.start();
    await activity.result;
    reached();
    await activity.join();
  };
}

const loading = `import ${JSON.stringify(module)};`;
const contenders: [name: string, start: Start, beside: number][] = [
  ["bare Worker", worker("postMessage(1)"), 0],
  ["Worker that imports mod.ts", worker(`${loading}postMessage(1)`), 0],
  ["Thread", activity(Thread), 0],
  ["bare deno run", run("console.log(1)"), 3],
  ["deno run that imports mod.ts", run(`${loading}console.log(1)`), 3],
  ["Process", activity(Process), 3],
];

const times = contenders.map((): number[] => []);
for (let round = Number(Deno.args[0] ?? ROUNDS); round > 0; round--) {
  for (const [index, [, start]] of contenders.entries()) {
    const begin = performance.now();
    await start(() => times[index]!.push(performance.now() - begin));
  }
}
const medians = times.map((all) => all.sort((a, b) => a - b)[all.length >> 1]!);
for (const [index, [name, , beside]] of contenders.entries()) {
  const ratio = medians[index]! / medians[beside]!;
  console.log(
    `${name.padEnd(30)}${medians[index]!.toFixed(1).padStart(6)} ms` +
      `${ratio.toFixed(2).padStart(7)}`,
  );
}
