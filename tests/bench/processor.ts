/**
 * How much processor time a server takes, which a busy machine blurs less than
 * its rate.
 *
 * @module
 */

const TICKS_PER_SECOND = 100;

/**
 * Seconds that a process and its descendants have computed, those that have
 * ended included; `NaN` where the system does not tell.
 */
export function processorTime(pid: number): number {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    // The name of the program stands before, and may hold anything
    const numbers = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const ticks = numbers.slice(11, 15).reduce((sum, n) => sum + Number(n), 0);
    const children = [...Deno.readDirSync(`/proc/${pid}/task`)].flatMap(
      ({ name }) => childrenOf(`/proc/${pid}/task/${name}`),
    );
    return children.reduce(
      (sum, child) => sum + (processorTime(Number(child)) || 0),
      ticks / TICKS_PER_SECOND,
    );
  } catch {
    return NaN;
  }
}

function childrenOf(task: string): string[] {
  try {
    const text = Deno.readTextFileSync(`${task}/children`);
    return text.split(" ").filter((child) => child !== "");
  } catch {
    return []; // The thread has ended
  }
}
