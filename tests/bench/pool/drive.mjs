/**
 * Loads a pool as told by lines on the standard input, and prints a rate for
 * each: `ROW UNDER_WAY MILLISECONDS ROUNDS_OF_COMPUTE()`.
 */
// deno-lint-ignore-file no-console
import process from "node:process";
import { createInterface } from "node:readline";

const OBJECT = {
  id: 1,
  name: "somebody",
  tags: ["x", "y", "z"],
  at: { x: 1.5, y: 2.5 },
};

/** A call of a task, the next one of those that follow each other. */
function caller(submit, row, rounds) {
  let buffer = new ArrayBuffer(65_536);
  return {
    "nil": () => submit("nil", undefined),
    "object": () => submit("object", OBJECT),
    "20us": () => submit("compute", rounds),
    "1ms": () => submit("compute", 50 * rounds),
    "64KB": async () => {
      buffer = await submit("bytes", buffer, [buffer]);
    },
  }[row];
}

async function load(submit, row, underWay, time, rounds) {
  let count = 0;
  const begun = performance.now();
  async function submitAll() {
    const call = caller(submit, row, rounds);
    while (performance.now() - begun < time) {
      await call();
      count++;
    }
  }
  await Promise.all(Array.from({ length: underWay }, submitAll));
  return count / (performance.now() - begun) * 1_000;
}

/** Serves a pool; `submit(name, argument, transfer?)` runs a task. */
export async function drive(submit) {
  console.log("ready");
  for await (const line of createInterface({ input: process.stdin })) {
    const [row, underWay, time, rounds] = line.split(" ");
    const numbers = [underWay, time, rounds].map(Number);
    console.log(Math.round(await load(submit, row, ...numbers)));
  }
  process.exit(0);
}
