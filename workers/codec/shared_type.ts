/**
 * How locks and similar objects cross to another thread or process.
 *
 * @module
 */

/** How instances of a class cross. */
export interface SharedType<T extends object> {
  /** The name of the class, the same in every thread. */
  tag: string;
  /**
   * The methods that a process may call and whose answer it awaits. Without
   * it, instances cross only to threads.
   */
  asks?: readonly string[];
  /** The methods that a process may call without an answer. */
  tells?: readonly string[];
  /** The part of an instance that counts its permits or holds its items. */
  inner?(value: T): object;
  /** Releases it for a process. */
  release?(value: T, holder: number, ...args: unknown[]): void;
  /** Whether instances can't cross, as they belong to their thread. */
  bound?: true;
  /** Whether the record itself must be packed. */
  composite?: true;
  /** Makes an instance to fill. */
  blank(): T;
  /** Takes the memory out of an instance; throws if it can't be shared. */
  record(value: T): unknown;
  /** Puts an instance over that memory. */
  fill(blank: T, record: never): void;
  /** In a process: makes what stands for an instance of its parent. */
  standIn?: () => object;
  /** In a process: what to do with an instance that came from its parent. */
  opened?: (value: object) => void;
}
