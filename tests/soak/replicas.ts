/**
 * Ten seconds of replicas killed at random in every lasting mode, and 20,000
 * connections over rolling replacements: `deno run -A tests/soak/replicas.ts`,
 * with `--import-map=tests/offline/import_map.json` where the JSR does not
 * answer.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { LASTING_MODES } from "../replicas/_support.ts";
import { roll } from "../replicas/_rolling.ts";
import { stampede } from "../replicas/_stampede.ts";
import { listDescendants, listThreads } from "../support/system.ts";
import { until } from "../support/waiting.ts";

for (const mode of LASTING_MODES) {
  console.log(mode.name, await stampede(mode, 10_000));
  const { served, lost, rounds } = await roll(mode, 20_000);
  console.log(mode.name, { served, lost: lost.length, rounds });
  await until(() => listThreads().length === 0, "threads are left");
  await until(() => listDescendants().length === 0, "children are left");
}
