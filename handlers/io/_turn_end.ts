/**
 * Sends what writers have gathered when a turn of the event loop ends: one
 * timer for all of them, and none where a read follows and sends it.
 *
 * @module
 */

/** A writer that gathers. */
export interface Gatherer {
  /** Whether it holds bytes; if not, it is forgotten until it asks again. */
  [stillHolds](): boolean;
  /** Sends what it holds, and is forgotten until it asks again. */
  [endTurn](): void;
}

/** To a writer: do you hold bytes? */
export const stillHolds: unique symbol = Symbol("stillHolds");
/** To a writer: the turn ends. */
export const endTurn: unique symbol = Symbol("endTurn");

/** Typed by some configurations only. */
const scope = globalThis as unknown as {
  setImmediate(callback: () => void): unknown;
};

let holders: Gatherer[] = [];
let scheduled = false;

/** Has a writer send what it holds, when this turn ends at the latest. */
export function sendAtTurnEnd(holder: Gatherer): void {
  holders.push(holder);
  if (scheduled) return;
  scheduled = true;
  // A timer costs more than a short answer: those who await their write and
  // then read have sent it after two rounds of the microtasks
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
