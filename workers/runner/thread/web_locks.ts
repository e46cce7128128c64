/**
 * The part of the Web Locks API that this package uses.
 *
 * @module
 */

/** The part of the Web Locks that this package uses. */
export interface WebLocks {
  /** Calls back while holding the lock, for as long as that takes. */
  request(
    name: string,
    options: { ifAvailable?: boolean; signal?: AbortSignal },
    callback: (lock: unknown) => unknown,
  ): Promise<unknown>;
}

/** The Web Locks: Deno has them, its types don't, and the first look is slow. */
export function webLocks(): WebLocks {
  return (navigator as unknown as { locks: WebLocks }).locks;
}
