/**
 * The operations that a condition needs of its lock.
 *
 * @module
 */

/** What a condition does with the lock it stands on. */
export interface InnerLock {
  /** Whether the caller may be taken for its owner. */
  owned(): boolean;
  /** Releases it at any depth, which it returns. */
  releaseAll(): number;
  /** Takes it again at the depth that it had. */
  restore(depth: number): Promise<void>;
  /** As `restore()`, blocking the thread. */
  restoreSync(depth: number): void;
  /** Keeps this thread, which was terminated without it, from releasing it. */
  forfeit(): void;
}

type Constructor<T> = abstract new (...args: never[]) => T;

const openers: [Constructor<object>, (lock: never) => InnerLock][] = [];

/**
 * Lets conditions stand on a kind of lock.
 *
 * @param type The lock's class.
 * @param open Reaches into one of its instances.
 */
export function registerInnerLock<T extends object>(
  type: Constructor<T>,
  open: (lock: T) => InnerLock,
): void {
  openers.push([type, open]);
}

/**
 * Reaches into a lock.
 *
 * @param lock A lock of some kind.
 * @returns What a condition needs of it.
 */
export function innerLockOf(lock: object): InnerLock {
  for (const [type, open] of openers) {
    if (lock instanceof type) return open(lock as never);
  }
  throw new TypeError(
    'Cannot make a condition: "lock" must be a Lock or an RLock',
  );
}
