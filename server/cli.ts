/**
 * The command line: a server with a built-in handler or your own, and a client
 * that talks to it line by line.
 *
 * ```text
 * deno task serve                        echo on 127.0.0.1:8080, in threads
 * deno task serve :9000 --mode forking --handler sum --workers 2
 * deno task serve unix:./socket --handler ./upper.ts#Upper
 * deno task serve --handler ./upper.ts#Upper --watch --stats 1
 * deno task client                       talks to 127.0.0.1:8080
 * ```
 *
 * `help serve` and `help client` show the options.
 *
 * @module
 */

import config from "../deno.json" with { type: "json" };
import { parseClient, parseServe } from "./cli/args.ts";
import { runClient } from "./cli/client.ts";
import { HELP } from "./cli/options.ts";
import { printed, printLine, printProblem } from "./cli/output.ts";
import { UsageError } from "./cli/problems.ts";
import { runServe } from "./cli/serve.ts";
import { suggest } from "./cli/suggest.ts";

const HELP_REGEXP = /^(?:--help|-\w*h)$/;

/**
 * Runs the command line. A problem is printed as one line on stderr.
 *
 * @example Usage
 * ```ts
 * import { main } from "@socketserver/socketserver/cli";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await main(["serve", "--port", "none"]), 2);
 * ```
 *
 * @param args The command and its options, as in `Deno.args`.
 * @returns The exit code: 0 for success, 1 for a failure, 2 for wrong
 * arguments, 3 if closing the server cut off clients.
 */
export async function main(args: string[]): Promise<number> {
  const code = await run(args).catch((error) => {
    printProblem(error);
    return error instanceof UsageError ? 2 : 1;
  });
  return await printed() || code !== 0 ? code : 1;
}

async function run([command, ...args]: string[]): Promise<number> {
  if (args.some((arg) => HELP_REGEXP.test(arg))) return print(helpOn(command));
  switch (command) {
    case "serve":
      return await runServe(parseServe(args));
    case "client":
      return await runClient(parseClient(args));
    case "help":
    case "--help":
    case "-h":
      return print(helpOn(args[0]));
    case "--version":
    case "-V":
      return print(
        `socketserver ${config.version} (Deno ${Deno.version.deno})`,
      );
    case undefined:
      throw new UsageError(
        `No command given: expected "serve" or "client", or --help`,
      );
    default:
      throw unknown(command);
  }
}

function helpOn(command: string | undefined): string {
  const text = HELP.get(command);
  if (text === undefined) throw unknown(command!);
  return text;
}

function unknown(command: string): UsageError {
  const near = suggest(command, ["serve", "client", "help", "--version"]);
  return new UsageError(
    `Unknown command "${command}": expected "serve" or "client", or --help${near}`,
  );
}

function print(text: string): number {
  printLine(text);
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
