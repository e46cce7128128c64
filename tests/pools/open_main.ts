/** The main of a pool's worker, which lets the tasks speak for it. */
import { main as poolMain } from "../../workers/pool/_main.ts";
import type { RunnerPort } from "../../workers/runner/runner.ts";
import { currentThreadId } from "../support/system.ts";

let portOfPool: RunnerPort;

export function main(
  port: RunnerPort,
  modules: Record<string, unknown>[],
  data: unknown,
): Promise<void> {
  portOfPool = port;
  return poolMain(port, [{ ...modules[0], say, sayAndLoop }], data);
}

/** Says something to the pool, which does not expect it. */
function say(...messages: unknown[]): Promise<never> {
  for (const message of messages) portOfPool.post(message);
  return new Promise(() => {});
}

/** Says something out of order and loops, if told to; counts its calls, and tells its thread. */
function sayAndLoop(calls: Int32Array, gate: Int32Array | null): void {
  Atomics.add(calls, 0, 1);
  if (gate === null) return;
  calls[1] = currentThreadId();
  portOfPool.post("out of order");
  while (Atomics.load(gate, 1) === 0);
}
