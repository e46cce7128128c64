/**
 * Flushes writers at the end of a turn of the event loop. All share one timer,
 * and need none if a read follows and flushes them.
 *
 * @module
 */

/** A buffered writer. */
export interface Gatherer {
  /** Whether it has buffered bytes. If not, it is dropped from the list. */
  [stillHolds](): boolean;
  /** Sends its buffer; it is dropped from the list. */
  [endTurn](): void;
}

/** To a writer: are bytes buffered? */
export const stillHolds: unique symbol = Symbol("stillHolds");
/** To a writer: the turn ends. */
export const endTurn: unique symbol = Symbol("endTurn");

/** Typed by some configurations only. */
const scope = globalThis as unknown as {
  setImmediate(callback: () => void): unknown;
};

let holders: Gatherer[] = [];
let scheduled = false;

/** Flushes a writer at the end of this turn, at the latest. */
export function sendAtTurnEnd(holder: Gatherer): void {
  holders.push(holder);
  if (scheduled) return;
  scheduled = true;
  // A timer costs more than a short answer. A handler that awaits its write and
  // then reads has flushed after two rounds of microtasks
  queueMicrotask(afterRound);
}

function afterRound(): void {
  queueMicrotask(arm);
}

function arm(): void {
  holders = holders.filter((holder) => holder[stillHolds]());
  if (holders.length > 0) scope.setImmediate(sendAll);
  else scheduled = false;
}

function sendAll(): void {
  const due = holders;
  holders = [];
  scheduled = false;
  for (const holder of due) holder[endTurn]();
}
