/**
 * When a loop over primitives must let the event loop turn.
 *
 * A wait that succeeds at once takes only microtasks, so a loop of them would
 * starve every timer, socket and `terminate()`. Each success therefore asks
 * here whether the event loop has turned of late: an immediate that is set now
 * and then, and has not run yet, tells that it has not.
 *
 * @module
 */

/** How long the event loop may stand still, in milliseconds. */
const MOST = 4;

/**
 * How often a task that has a lock may go on all the same: if it was terminated
 * meanwhile it would keep it, and most loops come where they have none.
 */
const MOST_HOLDING = 3;

/** How soon another immediate is set: one for each turn would cost too much. */
const PAUSE = 2;

/** As long as there is work, Deno looks at sockets every 61st turn only. */
const TURNS = 64;

/**
 * Typed by some configurations only, and looked up when it is called: the first
 * look takes Deno 2 ms, which no start of a thread should wait for.
 */
const scope = globalThis as unknown as {
  setImmediate(callback: () => void): unknown;
};

// Half the price of `performance.now()`. Tests that fake the time replace it.
const { now } = Date;

let setAt = 0;
let pending = false;
let turns = 0;
let holdings = 0;
let callbacks: (() => void)[] = [];

function set(time: number): void {
  setAt = time;
  pending = true;
  turns = 0;
  holdings = 0;
  scope.setImmediate(turn);
}

function turn(): void {
  if (callbacks.length > 0 && ++turns < TURNS) {
    scope.setImmediate(turn);
    return;
  }
  pending = false;
  const due = callbacks;
  callbacks = [];
  for (const callback of due) callback();
}

/**
 * Whether the event loop must turn before this task goes on.
 *
 * @param holding Whether the task is known to have a lock.
 * @returns `true` until it has turned.
 */
export function checkpointDue(holding = false): boolean {
  const time = now();
  const elapsed = time - setAt;
  if (pending) {
    if (elapsed < MOST && elapsed >= 0) return false;
    return !holding || ++holdings > MOST_HOLDING;
  }
  // The clock may have been set back.
  if (elapsed >= PAUSE || elapsed < 0) set(time);
  return false;
}

/**
 * Calls a function when the event loop has turned.
 *
 * @param callback The function; it must not throw.
 */
export function onTurn(callback: () => void): void {
  callbacks.push(callback);
  if (!pending) set(now());
}

/**
 * Lets the event loop turn.
 *
 * @returns Settles when it has.
 */
export function checkpoint(): Promise<void> {
  return new Promise(onTurn);
}
