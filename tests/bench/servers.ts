/**
 * Starts and stops the servers, and loads them.
 *
 * @module
 */

import { processorTime } from "./processor.ts";
import type { Contender, Row } from "./rows.ts";
import { FOLDER_PATH, output, type Tools } from "./tools.ts";

/** Few enough that the slowest handler has done with them in some seconds. */
const REDIS_COMMANDS = 300_000;

/** What one load of a server showed. */
export interface Reading {
  /** Messages a second. */
  rate: number;
  errors: number;
  /** Microseconds of the server's processor time a message. */
  cost: number;
  /** Microseconds that 50, 99 and 99.9 % of the messages took at most. */
  times: number[];
}

/** A server that runs. */
export interface Started {
  name: string;
  at: string;
  readings: Reading[];
  process: Deno.ChildProcess;
}

/** Starts a server; settles when it has said that it is ready. */
export async function start(
  { name, command, args }: Contender,
  at: string,
  tools: Tools,
): Promise<Started> {
  const process = new Deno.Command(tools.get(command)!, {
    args: args.map((arg) => arg === "AT" ? at : arg),
    cwd: FOLDER_PATH,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = process.stdout.getReader();
  const { done } = await reader.read();
  reader.releaseLock();
  if (done) throw new Error(`"${name}" did not start`);
  return { name, at, readings: [], process };
}

/** Ends a server. */
export async function stop({ process }: Started): Promise<void> {
  process.kill("SIGKILL");
  await process.stdout.cancel();
  await process.status;
}

/** Loads a server. */
export async function load(
  tools: Tools,
  row: Row,
  server: Started,
  seconds: number,
  rate = 0,
): Promise<Reading> {
  const begun = performance.now();
  const before = processorTime(server.process.pid);
  const text = row.generator === "redis-benchmark"
    ? await runRedisBenchmark(row, server)
    : await runLoadgen(tools, row, server, seconds, rate);
  if (text === null) throw new Error(`"${server.name}" could not be loaded`);
  const [reached, errors, ...times] = text.split(" ").map(Number);
  const computed = processorTime(server.process.pid) - before;
  const lasted = (performance.now() - begun) / 1000;
  const cost = computed * 1e6 / (reached! * lasted);
  return { rate: reached!, errors: errors!, cost, times };
}

function runLoadgen(
  tools: Tools,
  { transport, connections, size, renew, pipeline }: Row,
  { at }: Started,
  seconds: number,
  rate: number,
): Promise<string | null> {
  const target = transport === "unix" ? [at, "0"] : ["127.0.0.1", at];
  const load = [connections, size, seconds, renew ? 1 : 0, pipeline, rate];
  const args = [transport, ...target, ...load.map(String)];
  const generator = tools.get("loadgen");
  if (generator !== undefined) return output(generator, args);
  const path = `${FOLDER_PATH}loadgen.ts`;
  return output(Deno.execPath(), ["run", "-A", path, ...args]);
}

async function runRedisBenchmark(
  { connections, pipeline }: Row,
  { at }: Started,
): Promise<string | null> {
  const numbers = { c: connections, n: REDIS_COMMANDS, P: pipeline, p: at };
  const args = Object.entries(numbers).map(([name, n]) => [`-${name}`, `${n}`]);
  const text = await output("redis-benchmark", [
    ...args.flat(),
    ...["-t", "set,get", "--csv"],
  ]);
  const rates = [...text?.matchAll(/^"[SG]ET","([\d.]+)"/gm) ?? []]
    .map((found) => Number(found[1]));
  if (rates.length !== 2) return null;
  return `${(rates[0]! + rates[1]!) / 2} 0`;
}
