/**
 * Which threads and processes of this program live, in memory that all its
 * threads share. Code that keeps something for one of them can see at any time
 * whether it still exists, even if the thread that would have reported its end
 * has ended itself.
 *
 * @module
 */

/** More cannot live at the same time. */
const SLOTS = 4096;

const LAST = 0;
const DEATHS = 1;
const FIRST_SLOT = 2;

// The words of a slot: first an id, which is never used twice; then that of the
// thread that started it, and the process id if it is a process.
const PARENT = 1;
const PID = 2;
const SLOT_WORDS = 3;
const END = FIRST_SLOT + SLOTS * SLOT_WORDS;

/** In place of an id: the slot is taken, its owner is not yet known. */
const CLAIMED = -1;

let words: Int32Array | undefined;
let self = 0;

/** What a thread must know of who lives. */
export interface LivingRecord {
  /** The memory. */
  words: Int32Array;
  /** The thread's own id. */
  self: number;
}

function table(): Int32Array {
  return words ??= new Int32Array(new SharedArrayBuffer(4 * END));
}

function slotOf(id: number): number {
  return FIRST_SLOT + ((id >>> 0) % SLOTS) * SLOT_WORDS;
}

/** Joins the program, in a thread that was just started. */
export function joinLiving(record: LivingRecord): void {
  ({ words, self } = record);
}

/** This thread's id; 0 unless another thread has started it. */
export function ownId(): number {
  return self;
}

/** What a new thread with this id must know. */
export function livingRecord(id: number): LivingRecord {
  return { words: table(), self: id };
}

/**
 * Enters a thread, a process, or somebody within a process.
 *
 * @returns Its id, not 0.
 * @throws {RangeError} If too many live.
 */
export function enterLiving(): number {
  const all = table();
  for (let tries = 0; tries < SLOTS; tries++) {
    const id = Atomics.add(all, LAST, 1) + 1 | 0;
    const slot = slotOf(id);
    if (id === 0 || id === CLAIMED) continue;
    if (Atomics.compareExchange(all, slot, 0, CLAIMED) !== 0) continue;
    Atomics.store(all, slot + PARENT, self);
    Atomics.store(all, slot + PID, 0);
    // Only now: the thread that had the slot before may just be declared dead
    Atomics.store(all, slot, id);
    return id;
  }
  throw new RangeError(
    `Cannot start a thread or process: ${SLOTS} live already`,
  );
}

/** Sets the process id of a process that was entered. */
export function setPid(id: number, pid: number): void {
  Atomics.store(table(), slotOf(id) + PID, pid);
}

/** Whether somebody with this id lives. */
export function isLiving(id: number): boolean {
  return words === undefined || Atomics.load(words, slotOf(id)) === id;
}

/** Changes whenever somebody has died. */
export function deaths(): number {
  return words === undefined ? 0 : Atomics.load(words, DEATHS);
}

/** Removes somebody who has ended and left nothing behind. */
export function endLiving(id: number): void {
  if (id === 0) return;
  Atomics.compareExchange(table(), slotOf(id), id, 0);
}

/**
 * Removes a thread that has ended, and all that it started: a process ends
 * with the thread that started it.
 */
export function endThread(id: number): void {
  const all = table();
  const dead = new Set([id]);
  for (const parent of dead) {
    for (let slot = FIRST_SLOT; slot < END; slot += SLOT_WORDS) {
      const child = Atomics.load(all, slot);
      if (child === 0 || child === CLAIMED) continue;
      if (Atomics.load(all, slot + PARENT) !== parent) continue;
      killOrphan(Atomics.load(all, slot + PID));
      dead.add(child);
    }
  }
  dead.forEach(endLiving);
  Atomics.add(all, DEATHS, 1);
}

/** Permissions for a look at another process; Deno must not prompt for them. */
const PERMISSIONS = ["read", "write", "net", "env", "sys", "run", "ffi"];

function isGranted(name: string): boolean {
  const descriptor = { name } as Deno.PermissionDescriptor;
  return Deno.permissions.querySync(descriptor).state === "granted";
}

/**
 * It would also end by itself, but later: its channel has closed. Until then it
 * could still be inside what a lock protects.
 */
function killOrphan(pid: number): void {
  // The number may belong to another process by now
  if (pid !== 0 && statOf(pid)?.[PARENT_PID] === `${Deno.pid}`) kill(pid);
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // It has ended
  }
}

// The fields of a process after its name
const PARENT_PID = 1;
const START = 19;

/** What the system says about a process; `null` if it can't be had. */
function statOf(pid: number): string[] | null {
  if (!PERMISSIONS.every(isGranted)) return null;
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return null;
  }
}

/** A process that another one has started. */
export interface Descendant {
  pid: number;
  /** When it started: the number alone may come again. */
  start: string;
}

/**
 * Finds a process that another one has started, itself or by others.
 *
 * @param pid Its process id.
 * @param ancestor That of the other.
 * @returns The process, or `null` if it is none or can't be found.
 */
export function findDescendant(
  pid: number,
  ancestor: number,
): Descendant | null {
  const start = statOf(pid)?.[START];
  let at = pid;
  for (let depth = 0; depth < 16; depth++) {
    const parent = Number(statOf(at)?.[PARENT_PID] ?? 0);
    if (start === undefined || parent === 0) return null;
    if (parent === ancestor) return { pid, start };
    at = parent;
  }
  return null;
}

/** Kills a process that was found. */
export function killDescendant({ pid, start }: Descendant): void {
  if (statOf(pid)?.[START] === start) kill(pid);
}
