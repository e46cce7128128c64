/**
 * The errors of a pool's tasks.
 *
 * @module
 */

import {
  PoolClosedError,
  PoolFullError,
  type RunnerExit,
  RunnerExitError,
} from "../errors.ts";
import type { PoolSettings } from "./_options.ts";
import { describeExit } from "../runner/runner.ts";

/** The error of a task that a closed pool does not run. */
export function poolClosed({ name }: PoolSettings, what: string): Error {
  return new PoolClosedError(
    `Cannot run a task: it ${what} because "${name}" was shut down`,
  );
}

/** The error of a task beyond `maxQueue`. */
export function poolFull({ name, maxQueue }: PoolSettings): Error {
  return new PoolFullError(
    `Cannot run a task: in "${name}" as many wait as "maxQueue" allows, ` +
      `${maxQueue}; wait for drained(), or use map()`,
  );
}

/** The error of a task whose worker died. */
export function taskLost(
  { kind }: PoolSettings,
  target: string,
  exit: RunnerExit,
): Error {
  return new RunnerExitError(
    `Cannot get the result of "${target}": the ${kind} that ran it ` +
      describeExit(exit),
    exit,
  );
}
