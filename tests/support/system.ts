/**
 * What Linux tells in `/proc`. Elsewhere no children, threads and sockets are
 * seen; a test that must see some is skipped with `LINUX_ONLY`.
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
    if (state === "Z") continue;
    found.push({ pid, parent: Number(parent), command });
  }
  return found;
}

/** Lists the children of a process, this one by default, with theirs. */
export function listDescendants(pid = Deno.pid): FoundProcess[] {
  const all = listProcesses();
  const found: FoundProcess[] = [];
  const parents = [pid];
  for (let parent; (parent = parents.pop()) !== undefined;) {
    for (const child of all) {
      if (child.parent !== parent) continue;
      found.push(child);
      parents.push(child.pid);
    }
  }
  return found;
}

/** Whether a process is there and no zombie. */
export function isRunning(pid: number): boolean {
  if (IS_LINUX) return listProcesses().some((found) => found.pid === pid);
  return look(() => process.kill(pid, 0)) ?? false;
}

/** Counts the threads of this process that workers run on. */
export function countThreads(): number {
  let count = 0;
  for (const path of entriesOf("/proc/self/task")) {
    const name = look(() => Deno.readTextFileSync(`${path}/comm`));
    if (name?.startsWith("worker-")) count++;
  }
  return count;
}

/** Counts the sockets of this process. */
export function countSockets(): number {
  let count = 0;
  for (const path of entriesOf("/proc/self/fd")) {
    if (look(() => Deno.readLinkSync(path))?.startsWith("socket:")) count++;
  }
  return count;
}
