/**
 * Waiting with a time-out.
 *
 * @module
 */

/** The result of `work`, or `null` if there is none within `timeout` ms. */
export async function inTime<T>(
  work: Promise<T>,
  timeout: number,
): Promise<T | null> {
  const { promise, resolve } = Promise.withResolvers<null>();
  const timer = timeout === Infinity
    ? undefined
    : setTimeout(resolve, Math.max(0, timeout), null);
  try {
    return await Promise.race([work.catch(() => null), promise]);
  } finally {
    clearTimeout(timer);
  }
}
