/**
 * The operations that a condition needs of its lock.
 *
 * @module
 */

/** The operations of a condition on its lock. */
export interface InnerLock {
  /** Whether the caller counts as its owner. */
  owned(): boolean;
  /** Releases it at any depth. Returns the depth. */
  releaseAll(): number;
  /** Takes it again at that depth. */
  restore(depth: number): Promise<void>;
  /** As `restore()`, blocking the thread. */
  restoreSync(depth: number): void;
  /** Keeps this thread, which was terminated without it, from releasing it. */
  forfeit(): void;
}

type Constructor<T> = abstract new (...args: never[]) => T;

const openers: [Constructor<object>, (lock: never) => InnerLock][] = [];

/**
 * Registers a kind of lock for conditions.
 *
 * @param type The lock's class.
 * @param open Returns the operations of an instance.
 */
export function registerInnerLock<T extends object>(
  type: Constructor<T>,
  open: (lock: T) => InnerLock,
): void {
  openers.push([type, open]);
}

/**
 * Returns the operations of a lock.
 *
 * @param lock A lock of a registered kind.
 * @returns Its operations.
 */
export function innerLockOf(lock: object): InnerLock {
  for (const [type, open] of openers) {
    if (lock instanceof type) return open(lock as never);
  }
  throw new TypeError(
    'Cannot make a condition: "lock" must be a Lock or an RLock',
  );
}
