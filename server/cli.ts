/**
 * The command line: a server with a ready handler or one's own, and a client
 * that talks to it line by line.
 *
 * ```text
 * deno task serve                        echo on 127.0.0.1:8080, in threads
 * deno task serve --mode forking --handler sum --workers 2
 * deno task serve --handler ./upper.ts#Upper --transport unix --path ./socket
 * deno task client                                 talks to 127.0.0.1:8080
 * ```
 *
 * @module
 */

import { parseClient, parseServe } from "./cli/args.ts";
import { runClient } from "./cli/client.ts";
import { CLIENT_HELP, HELP, SERVE_HELP } from "./cli/help.ts";
import { printLine, printProblem } from "./cli/output.ts";
import { runServe } from "./cli/serve.ts";
import { UsageError } from "./cli/usage_error.ts";

/**
 * Runs the command line. Problems are told in one line on stderr.
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
 * @returns The exit code: 0, 1 for a failure, 2 for arguments that can't work.
 */
export async function main(args: string[]): Promise<number> {
  try {
    return await run(args);
  } catch (error) {
    printProblem(error);
    return error instanceof UsageError ? 2 : 1;
  }
}

async function run([command, ...args]: string[]): Promise<number> {
  switch (command) {
    case "serve": {
      const serve = parseServe(args);
      return serve === "help" ? help(SERVE_HELP) : await runServe(serve);
    }
    case "client": {
      const client = parseClient(args);
      return client === "help" ? help(CLIENT_HELP) : await runClient(client);
    }
    case "--help":
    case "-h":
      return help(HELP);
    default:
      throw new UsageError(
        command === undefined
          ? `No command given: expected "serve" or "client", or --help`
          : `Unknown command "${command}": expected "serve" or "client", or --help`,
      );
  }
}

function help(text: string): number {
  printLine(text);
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
