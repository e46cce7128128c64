/**
 * The requests of a relay by their numbers.
 *
 * @module
 */

/**
 * The requests of one end of a relay. A number is free again once its request
 * has ended at both ends: frames arrive in order, so none of the old request
 * can follow the `open` of a new one.
 *
 * It is an array, not a map. A map that grows and shrinks with each request
 * leaves a chain of old tables, through which the garbage collector keeps old
 * requests: it then took a third of the time of a short connection.
 */
export class RequestTable<T> {
  // The first number is that of frames without a request
  #requests: (T | null)[] = [null];
  #free: number[] = [];
  #size = 0;

  /** The number of requests. */
  get size(): number {
    return this.#size;
  }

  /** Returns a free number. */
  nextId(): number {
    return this.#free.pop() ?? this.#requests.push(null) - 1;
  }

  /** Returns a request. */
  get(id: number): T | null {
    return this.#requests[id] ?? null;
  }

  /** Adds a request. */
  set(id: number, request: T): void {
    this.#requests[id] = request;
    this.#size++;
  }

  /** Removes a request. */
  delete(id: number): void {
    this.#requests[id] = null;
    this.#size--;
    this.#free.push(id);
  }

  /** The requests. */
  all(): T[] {
    return this.#requests.filter((request) => request !== null);
  }
}
