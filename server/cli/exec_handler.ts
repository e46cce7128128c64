/**
 * The handler of the option `--exec`; replicas import it.
 *
 * @module
 */

import { CommandRequestHandler } from "../../handlers/command_request_handler.ts";

/** The context of the option's servers. */
export interface ExecContext {
  /** The program and its arguments. */
  command: string[];
  /** The commands that run in threads; 0 is a free place. */
  pids: Int32Array | null;
}

/** Runs the command in the server's context. */
export class ExecHandler extends CommandRequestHandler<ExecContext> {
  /** The module that replicas import. */
  static readonly module: string = import.meta.url;

  /** The program. */
  override command: string = this.server.context.command[0]!;
  /** Its arguments. */
  override args: string[] = this.server.context.command.slice(1);

  /** Starts it, and notes its number for the main program. */
  override spawn(): Deno.ChildProcess {
    const child = super.spawn();
    const { pids } = this.server.context;
    if (pids !== null) {
      const place = take(pids, child.pid);
      const free = () => void (place >= 0 && Atomics.store(pids, place, 0));
      child.status.then(free, free);
    }
    return child;
  }
}

function take(pids: Int32Array, pid: number): number {
  for (let place = 0; place < pids.length; place++) {
    if (Atomics.compareExchange(pids, place, 0, pid) === 0) return place;
  }
  return -1;
}
