/**
 * The error of wrong arguments, as opposed to a failure.
 *
 * @module
 */

/** Arguments that can't work; ends the program with exit code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}
