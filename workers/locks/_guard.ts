/**
 * A guard for `using`: releases once, when it is disposed of.
 *
 * @param release What is to be done then.
 * @returns The guard.
 */
export function holdOf(release: () => void): Disposable {
  let held = true;
  return {
    [Symbol.dispose](): void {
      if (!held) return;
      held = false;
      release();
    },
  };
}

/**
 * The error of a guard that was not had in time.
 *
 * @param name What was waited for.
 * @returns A `TimeoutError`, as `AbortSignal.timeout()` has it.
 */
export function holdTimedOut(name: string): DOMException {
  return new DOMException(
    `Cannot hold the ${name}: the time-out was over first`,
    "TimeoutError",
  );
}
