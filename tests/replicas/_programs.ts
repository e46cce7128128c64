/** Runs the server program, and looks at it from outside. */

import type { ReplicaOptions, ServerStats } from "../../mod.ts";
import { freePath } from "../servers/_support.ts";
import { Program } from "../support/programs.ts";
import type { ServerPlan } from "./_server_program.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const PROGRAM = new URL("./_server_program.ts", import.meta.url).pathname;

/** A program that serves, as a test sees it. */
export class ServerProgram extends Program {
  /** Where it serves. */
  readonly serverAddress: Deno.Addr;
  /** Its counts when it began to serve. */
  readonly stats: ServerStats;

  /** Wraps a program that has said both. */
  constructor(command: Deno.Command) {
    super(command);
    this.serverAddress = null!;
    this.stats = null!;
  }

  /** Waits until it serves. */
  async begin(): Promise<this> {
    const address = await this.readLine();
    const stats = await this.readLine();
    return Object.assign(this, {
      serverAddress: JSON.parse(address!),
      stats: JSON.parse(stats!),
    });
  }
}

/** Starts a program that serves in a mode. */
export function startServer(
  mode: string,
  options: ReplicaOptions = {},
  config = `${ROOT}deno.json`,
): Promise<ServerProgram> {
  const plan: ServerPlan = { mode, options };
  // What a program leaves that is killed goes with the test's own folder
  const folder = freePath();
  Deno.mkdirSync(folder);
  return new ServerProgram(
    new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--quiet",
        "--no-check",
        ...(config === "" ? ["--no-config"] : ["--config", config]),
        `--import-map=${ROOT}tests/offline/import_map.json`,
        PROGRAM,
        JSON.stringify(plan),
      ],
      env: { NO_COLOR: "1", TMPDIR: folder },
      // A group of its own, as a terminal gives to a command
      detached: true,
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }),
  ).begin();
}
