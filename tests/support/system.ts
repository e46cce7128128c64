/**
 * What Linux tells in `/proc`. Elsewhere no children and threads are seen; a
 * test that must see some is skipped with `LINUX_ONLY`.
 */

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

/** A process of `/proc`, unless it has ended; a zombie has. */
function find(pid: number): FoundProcess | null {
  const stat = look(() => Deno.readTextFileSync(`/proc/${pid}/stat`));
  const command = look(() => Deno.readTextFileSync(`/proc/${pid}/cmdline`));
  if (stat === null || command === null) return null;
  const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (state === "Z" && !hasThreads(pid)) return null;
  return { pid, parent: Number(parent), command };
}

function listProcesses(): FoundProcess[] {
  return [...entriesOf("/proc")]
    .map((path) => Number(path.slice("/proc/".length)))
    .filter((pid) => !Number.isNaN(pid))
    .map(find).filter((found) => found !== null);
}

/** Whether threads outlive the first one, and with them its files and ports. */
function hasThreads(pid: number): boolean {
  const tasks = look(() => [...Deno.readDirSync(`/proc/${pid}/task`)]) ?? [];
  return tasks.length > 1;
}

/**
 * Lists the children of a process with theirs; by default those that this
 * file's tests started: `deno test --parallel` runs each file on a thread, and
 * Linux knows a child's thread.
 */
export function listDescendants(pid?: number): FoundProcess[] {
  const own = pid === undefined ? ownChildren() : null;
  if (own?.length === 0) return [];
  const all = listProcesses();
  const found = all.filter((child) =>
    own === null ? child.parent === pid : own.includes(child.pid)
  );
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
  if (IS_LINUX) return find(pid) !== null;
  // The global loads Node's modules when it is used; an import, in every file
  // deno-lint-ignore no-process-global
  return look(() => process.kill(pid, 0)) ?? false;
}

/** Lists all threads of this process, by their paths. */
export function listTasks(): string[] {
  return [...entriesOf("/proc/self/task")];
}

/**
 * Lists the threads of this process that workers run on, by Deno's numbers.
 *
 * @param tasks Those to look at: all unless some are given.
 */
export function listThreads(tasks: string[] = listTasks()): number[] {
  return tasks.map(threadIdOf).filter((id) => id > 0);
}

/** The number of the thread that calls; 0 where it can't be known. */
export function currentThreadId(): number {
  return threadIdOf("/proc/thread-self");
}

function threadIdOf(path: string): number {
  const name = look(() => Deno.readTextFileSync(`${path}/comm`)) ?? "";
  return name.startsWith("worker-") ? Number(name.slice("worker-".length)) : 0;
}
