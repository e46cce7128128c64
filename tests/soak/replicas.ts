/**
 * Replicas that are killed at random for ten seconds in every lasting mode, and
 * 20,000 connections over rolling replacements. Then rolling replacements in
 * every mode for clients that take their time, `SECONDS` for each mode, 10
 * unless you say otherwise, with `SECONDS` alone:
 * `deno task soak:replicas [SECONDS]`.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { LASTING_MODES, STREAM_MODES } from "../replicas/_support.ts";
import { roll, rollPatiently } from "../replicas/_rolling.ts";
import { stampede } from "../replicas/_stampede.ts";
import { listDescendants, listThreads } from "../support/system.ts";
import { until } from "../support/waiting.ts";

async function assertNothingLeft(): Promise<void> {
  await until(() => listThreads().length === 0, "threads are left");
  await until(() => listDescendants().length === 0, "children are left");
}

const [seconds] = Deno.args;
for (const mode of seconds === undefined ? LASTING_MODES : []) {
  console.log(mode.name, await stampede(mode, 10_000));
  const { served, lost, rounds } = await roll(mode, 20_000);
  console.log(mode.name, { served, lost: lost.length, rounds });
  await assertNothingLeft();
}
let allLost = 0;
for (const mode of STREAM_MODES) {
  const ms = Number(seconds ?? 10) * 1_000;
  const { rounds, clients } = await rollPatiently(mode, ms);
  const counts = Object.entries(clients).map(([name, { served, lost }]) =>
    `${name}: ${served} served, ${lost.length} lost`
  );
  console.log(`${mode.name}: ${rounds} rounds; ${counts.join("; ")}`);
  for (const [name, { lost }] of Object.entries(clients)) {
    for (const what of lost.slice(0, 5)) console.log(`  ${name}: ${what}`);
    allLost += lost.length;
  }
  await assertNothingLeft();
}
console.log(`${allLost} lost`);
Deno.exit(allLost === 0 ? 0 : 1);
