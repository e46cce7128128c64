/**
 * What Linux tells in `/proc`. Elsewhere no children and threads are seen; a
 * test that must see some is skipped with `LINUX_ONLY`.
 */

import process from "node:process";

const IS_LINUX = Deno.build.os === "linux";

/** Options of a test that only Linux can run. */
export const LINUX_ONLY = { ignore: !IS_LINUX };

/** A process that is alive. */
export interface FoundProcess {
  pid: number;
  parent: number;
  command: string;
}

function* entriesOf(dir: string): Generator<string> {
  if (!IS_LINUX) return;
  for (const { name } of Deno.readDirSync(dir)) yield `${dir}/${name}`;
}

/** Reads what may end while it is looked at. */
function look<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

function listProcesses(): FoundProcess[] {
  const found: FoundProcess[] = [];
  for (const path of entriesOf("/proc")) {
    const pid = Number(path.slice("/proc/".length));
    if (Number.isNaN(pid)) continue;
    const stat = look(() => Deno.readTextFileSync(`${path}/stat`));
    const command = look(() => Deno.readTextFileSync(`${path}/cmdline`));
    if (stat === null || command === null) continue;
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (state === "Z" && !hasThreads(path)) continue;
    found.push({ pid, parent: Number(parent), command });
  }
  return found;
}

/** Whether threads outlive the first one, and with them its files and ports. */
function hasThreads(path: string): boolean {
  return (look(() => [...Deno.readDirSync(`${path}/task`)]) ?? []).length > 1;
}

/**
 * Lists the children of a process with theirs; by default those that this
 * file's tests started: `deno test --parallel` runs each file on a thread, and
 * Linux knows a child's thread.
 */
export function listDescendants(pid?: number): FoundProcess[] {
  const all = pid === undefined && ownChildren().length === 0
    ? []
    : listProcesses();
  const found = pid === undefined
    ? all.filter((child) => ownChildren().includes(child.pid))
    : all.filter((child) => child.parent === pid);
  for (const { pid } of found) {
    found.push(...all.filter(({ parent }) => parent === pid));
  }
  return found;
}

function ownChildren(): number[] {
  const text =
    look(() => Deno.readTextFileSync("/proc/thread-self/children")) ?? "";
  return text.split(" ").filter((pid) => pid !== "").map(Number);
}

/** Whether a process is there and no zombie. */
export function isRunning(pid: number): boolean {
  if (IS_LINUX) return listProcesses().some((found) => found.pid === pid);
  return look(() => process.kill(pid, 0)) ?? false;
}

/** Lists the threads of this process that workers run on, by Deno's numbers. */
export function listThreads(): number[] {
  return [...entriesOf("/proc/self/task")].map(threadIdOf)
    .filter((id) => id > 0);
}

/** The number of the thread that calls; 0 where it can't be known. */
export function currentThreadId(): number {
  return threadIdOf("/proc/thread-self");
}

function threadIdOf(path: string): number {
  const name = look(() => Deno.readTextFileSync(`${path}/comm`)) ?? "";
  return name.startsWith("worker-") ? Number(name.slice("worker-".length)) : 0;
}
