/**
 * The handler of the option `--exec`; replicas import it.
 *
 * @module
 */

import { CommandRequestHandler } from "../../handlers/command_request_handler.ts";

/** Runs the command that is the server's context. */
export class ExecHandler extends CommandRequestHandler<string[]> {
  /** The program. */
  override command: string = this.server.context[0]!;
  /** Its arguments. */
  override args: string[] = this.server.context.slice(1);
}
