/** Finds processes, for tests that count them. */

/** A process, as far as the tests look at it. */
export interface FoundProcess {
  pid: number;
  parent: number;
  command: string;
}

/** Lists the processes of this machine that are alive. */
export function listProcesses(): FoundProcess[] {
  const found: FoundProcess[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = Deno.readTextFileSync(`/proc/${name}/stat`);
      const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (state === "Z") continue;
      const command = Deno.readTextFileSync(`/proc/${name}/cmdline`);
      found.push({ pid: Number(name), parent: Number(parent), command });
    } catch {
      // It ended while it was looked at.
    }
  }
  return found;
}

/** Lists the children of this process, with their children. */
export function listDescendants(pid = Deno.pid): FoundProcess[] {
  const all = listProcesses();
  const found: FoundProcess[] = [];
  const parents = [pid];
  for (let parent; (parent = parents.pop()) !== undefined;) {
    for (const process of all) {
      if (process.parent !== parent) continue;
      found.push(process);
      parents.push(process.pid);
    }
  }
  return found;
}

/** Whether a process is there and no zombie. */
export function isRunning(pid: number): boolean {
  return listProcesses().some((process) => process.pid === pid);
}

/** Waits until a condition holds that no event tells of. */
export async function until(
  condition: () => boolean,
  what: string,
): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`Gave up waiting: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
