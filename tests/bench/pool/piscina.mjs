/** A pool of the npm package "piscina" under load, and its worker. */
import { createRequire } from "node:module";
import process from "node:process";
import { drive } from "./drive.mjs";
import * as tasks from "./tasks.mjs";

// Found where NODE_PATH says.
const Piscina = createRequire(import.meta.url)("piscina");
const { isWorkerThread, move } = Piscina;

export const { nil, object, compute } = tasks;

export function bytes(buffer) {
  return move(tasks.bytes(buffer));
}

if (!isWorkerThread) {
  const workers = Number(process.argv[2]);
  const pool = new Piscina({
    filename: import.meta.filename ?? new URL(import.meta.url).pathname,
    minThreads: workers,
    maxThreads: workers,
  });
  await drive((name, argument, transferList) =>
    pool.run(argument, transferList ? { name, transferList } : { name })
  );
}
