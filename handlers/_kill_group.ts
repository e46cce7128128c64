/**
 * Signals for a command and the processes that it has started.
 *
 * @module
 */

/** Whether a child can have a process group of its own. */
export const HAS_GROUPS: boolean = Deno.build.os !== "windows";

/** Signals the process group that a command leads. */
export function killGroup(pid: number, signal: Deno.Signal): void {
  Deno.kill(HAS_GROUPS ? -pid : pid, signal);
}
