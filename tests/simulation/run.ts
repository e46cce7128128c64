/**
 * Runs simulations: `deno task simulate [COUNT] [FIRST_SEED]`. A seed that
 * fails is printed with its course; `deno task simulate 1 SEED` replays it.
 */
// deno-lint-ignore-file no-console

import { simulate } from "./simulate.ts";

const [count = 100_000, first = 1] = Deno.args.map(Number);
const started = performance.now();
for (let seed = first; seed < first + count; seed++) {
  await simulate(seed);
  if (seed % 1_000 === 0) console.log(`${seed} seeds`);
}
const seconds = (performance.now() - started) / 1_000;
console.log(
  `${count} seeds from ${first} on: all well, ${seconds.toFixed(0)} s`,
);
