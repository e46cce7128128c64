/**
 * The source text of a runner's first module.
 *
 * @module
 */

import type { RunnerOptions } from "./runner.ts";

function loader(url: string): string {
  const literal = JSON.stringify(url);
  return `[${literal}, () => import(${literal})]`;
}

/**
 * Writes the text of a runner's first module.
 *
 * The imports are literal, so that they count as the runner's own code and need
 * no permission. They are dynamic, so that their failure can be reported.
 *
 * @param entry The URL of the module that exports `enter`.
 * @param options Which modules to import.
 * @returns JavaScript.
 */
export function entrySource(
  entry: string,
  options: Pick<RunnerOptions, "main" | "modules">,
): string {
  const modules = (options.modules ?? []).map(loader).join(", ");
  return `import { enter } from ${JSON.stringify(entry)};
enter([${modules}], ${loader(options.main)});
`;
}
