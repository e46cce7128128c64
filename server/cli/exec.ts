/**
 * The option `--exec`.
 *
 * @module
 */

import type { RequestHandlerClass } from "../../handlers/base_request_handler.ts";
import { ExecHandler } from "./exec_handler.ts";
import type { NamedHandler } from "./handlers.ts";
import { UsageError } from "./usage_error.ts";

/** The handler that runs a command: the server's context. */
export async function findExecHandler(
  command: string[],
): Promise<NamedHandler> {
  await assertCommand(command[0]!);
  return {
    Handler: ExecHandler as RequestHandlerClass,
    module: new URL("./exec_handler.ts", import.meta.url).href,
  };
}

/** Throws if there is no such program, rather than at each connection. */
async function assertCommand(command: string): Promise<void> {
  if (Deno.build.os === "windows") return; // its names need no extension
  const folders = command.includes("/")
    ? [""]
    : (Deno.env.get("PATH") ?? "").split(":").map((folder) => `${folder}/`);
  for (const folder of folders) {
    const info = await Deno.stat(`${folder}${command}`).catch(() => null);
    if (info?.isFile && (info.mode ?? 0o111) & 0o111) return;
  }
  throw new UsageError(
    `Cannot find the command "${command}"; give its path, or a name in PATH`,
  );
}
