/** A pool of the npm package "workerpool" under load, and its worker. */
import { createRequire } from "node:module";
import process from "node:process";
import { isMainThread } from "node:worker_threads";
import { drive } from "./drive.mjs";
import * as tasks from "./tasks.mjs";

// Found where NODE_PATH says.
const workerpool = createRequire(import.meta.url)("workerpool");

function bytes(buffer) {
  const result = tasks.bytes(buffer);
  return new workerpool.Transfer(result, [result]);
}

if (isMainThread) {
  const workers = Number(process.argv[2]);
  const pool = workerpool.pool(new URL(import.meta.url).pathname, {
    minWorkers: workers,
    maxWorkers: workers,
    workerType: "thread",
  });
  await drive((name, argument, transfer) =>
    pool.exec(name, [argument], transfer ? { transfer } : undefined)
  );
} else {
  workerpool.worker({ ...tasks, bytes });
}
