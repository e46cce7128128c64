/**
 * Waiting, but not for ever.
 *
 * @module
 */

/** What `work` gives, or `null` if it gives nothing within `timeout` ms. */
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
