/**
 * The handlers that the command line can name.
 *
 * @module
 */

import { pathToFileURL } from "node:url";
import type { RequestHandlerClass } from "../../handlers/base_request_handler.ts";
import * as services from "../../handlers/services.ts";
import {
  DatagramRequestHandler,
} from "../../handlers/datagram_request_handler.ts";
import { ModuleImportError } from "../../workers/base/errors.ts";
import { type ExecContext, ExecHandler } from "./exec_handler.ts";
import { killGroup } from "../../handlers/_internal.ts";
import { StreamRequestHandler } from "../../handlers/stream_request_handler.ts";
import { isDatagram } from "./args.ts";
import type { Mode, Transport } from "./options.ts";
import { failure, UsageError } from "./problems.ts";
import { suggest } from "./suggest.ts";

/** Commands in threads that a second signal can end. */
const MAX_PIDS = 16_384;

/** As long as replicas have to start. */
const IMPORT_TIMEOUT_MS = 30_000;

/** A module that is not a file. */
const SPECIFIER_REGEXP = /^(jsr|npm|https?|data):/;

/** A handler. */
export interface NamedHandler {
  Handler: RequestHandlerClass;
  /** The module that replicas import it from, unless its class says so. */
  module?: string;
  /** The `server.context` of the handler. */
  context?: unknown;
  /** Called before a second signal ends the program. */
  beforeExit?: () => void;
}

/** The built-in handlers. */
const SERVICES = new Map<string, unknown>([
  ["echo", services.EchoHandler],
  ["discard", services.DiscardHandler],
  ["daytime", services.DaytimeHandler],
  ["chargen", services.ChargenHandler],
  ["sum", services.SumHandler],
]);

/** Finds a handler by its name, or imports `file.ts#Class`, `jsr:@x/y#Class`. */
export async function findHandler(
  name: string,
  transport: Transport,
): Promise<NamedHandler> {
  const service = SERVICES.get(name);
  if (service) return { Handler: service as RequestHandlerClass };
  const hash = name.lastIndexOf("#");
  if (hash < 1 || hash === name.length - 1) {
    const names = [...SERVICES.keys()];
    throw new UsageError(
      `Unknown handler "${name}": expected ${
        names.join(", ")
      }, file.ts#Class or jsr:@scope/name#Class${suggest(name, names)}`,
    );
  }
  const found = await importHandler(name.slice(0, hash), name.slice(hash + 1));
  assertSuits(found.Handler, transport);
  return found;
}

async function importHandler(
  source: string,
  exportName: string,
): Promise<NamedHandler> {
  const module = await locate(source);
  const exports = await importModule(source, module);
  const Handler = exports[exportName];
  if (Handler === undefined) {
    const names = Object.keys(exports);
    const list = names.map((name) => `"${name}"`).join(", ") || "nothing";
    throw new UsageError(
      `"${source}" exports no "${exportName}"; it exports ${list}`,
    );
  }
  if (!isHandlerClass(Handler)) {
    throw new UsageError(
      `"${exportName}" of "${source}" is no handler: expected a class that extends BaseRequestHandler and has a method handle()`,
    );
  }
  return { Handler, module };
}

/** The module's URL. */
async function locate(source: string): Promise<string> {
  if (SPECIFIER_REGEXP.test(source)) return source;
  const isUrl = source.startsWith("file:");
  const url = isUrl ? new URL(source) : pathToFileURL(source);
  if ((await stat(url, `the file "${source}"`))?.isFile) return url.href;
  throw new UsageError(`Cannot find the file "${source}" in "${Deno.cwd()}"`);
}

/** Looks at a file: `null` if it is not there. */
async function stat(
  path: string | URL,
  what: string,
): Promise<Deno.FileInfo | null> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) return null;
    throw failure(`Cannot find ${what}`, error);
  }
}

async function importModule(
  source: string,
  module: string,
): Promise<Record<string, unknown>> {
  const late = Promise.withResolvers<never>();
  // Without a timer Deno ends the program, with an error of its own
  const timer = setTimeout(() => {
    late.reject("it did not load within 30 s; a top-level await may hang");
  }, IMPORT_TIMEOUT_MS);
  try {
    return await Promise.race([import(module), late.promise]);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new ModuleImportError(
      `Cannot import "${source}": ${message}`,
      module,
      { cause: error },
    );
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Looks for the methods: a file may have taken the base class from another copy
 * of this package.
 */
function isHandlerClass(value: unknown): value is NamedHandler["Handler"] {
  if (typeof value !== "function") return false;
  const { setup, handle, finish } = value.prototype ?? {};
  return [setup, handle, finish].every((part) => typeof part === "function");
}

function assertSuits(
  Handler: NamedHandler["Handler"],
  transport: Transport,
): void {
  const [Other, what, cure] = isDatagram(transport)
    ? [StreamRequestHandler, "connections", "tcp or unix"]
    : [DatagramRequestHandler, "packets", "udp or unix-datagram"];
  if (Handler.prototype instanceof Other) {
    throw new UsageError(
      `"${Handler.name}" answers ${what}: give --transport ${cure}, or extend RequestHandler, which answers both`,
    );
  }
}

/**
 * The handler that runs a command. A second signal ends the program without
 * waiting for its commands, so it kills them.
 */
export async function findExecHandler(
  line: string,
  mode: Mode,
): Promise<NamedHandler> {
  const command = splitCommand(line);
  await assertCommand(command[0]!);
  // A thread gets no notice of the program's end; a process does
  const pids = mode === "threading"
    ? new Int32Array(new SharedArrayBuffer(4 * MAX_PIDS))
    : null;
  return {
    Handler: ExecHandler as RequestHandlerClass,
    context: { command, pids } satisfies ExecContext,
    ...(pids !== null && { beforeExit: () => killAll(pids) }),
  };
}

function killAll(pids: Int32Array): void {
  for (const pid of pids) {
    try {
      if (pid > 0) killGroup(pid, "SIGKILL");
    } catch {
      // It has ended
    }
  }
}

/** Throws if it can't run: otherwise each connection would fail. */
async function assertCommand(command: string): Promise<void> {
  const what = `the command "${command}"`;
  const run = { name: "run", command } as const;
  if ((await Deno.permissions.request(run)).state !== "granted") {
    throw new Error(
      `Cannot run ${what}: Requires run access, run again with the --allow-run flag`,
    );
  }
  if (Deno.build.os === "windows") return; // its names need no extension
  let cure = "give its path, or a name in PATH";
  for (const folder of command.includes("/") ? [""] : searchPath(what)) {
    const info = await stat(`${folder}${command}`, what);
    if (!info?.isFile) continue;
    if ((info.mode ?? 0o111) & 0o111) return;
    cure = `"${folder}${command}" is no program; make it one with chmod +x`;
  }
  throw new UsageError(`Cannot find ${what}; ${cure}`);
}

function searchPath(what: string): string[] {
  try {
    const path = Deno.env.get("PATH") ?? "";
    return path.split(":").map((folder) => `${folder}/`);
  } catch (error) {
    throw failure(`Cannot find ${what}`, error);
  }
}

/** A part in quotes, an escaped character, or what needs neither. */
const PART_REGEXP = /'([^']*)'|"((?:[^"\\]|\\[^])*)"|\\([^])|([^\s'"\\]+)/g;
const WORD_REGEXP = new RegExp(`\\s*((?:${PART_REGEXP.source})+)`, "gy");
const ESCAPE_REGEXP = /\\(["\\])/g;

/**
 * Splits a command line as a shell does: at spaces, but not in quotes or after
 * a backslash. Nothing else has a meaning.
 */
export function splitCommand(line: string): string[] {
  const words: string[] = [];
  let end = 0;
  for (const [text, word] of line.matchAll(WORD_REGEXP)) {
    words.push(word!.replaceAll(PART_REGEXP, unquote));
    end += text.length;
  }
  const rest = line.slice(end).trimStart();
  if (rest !== "") {
    throw new UsageError(
      `Cannot split "${line}" into words: ${rest} has no end`,
    );
  }
  if (words[0]) return words;
  throw new UsageError("--exec is empty: give a command");
}

function unquote(_part: string, ...inner: (string | undefined)[]): string {
  const [single, double, escaped, plain] = inner;
  const quoted = single ?? double?.replaceAll(ESCAPE_REGEXP, "$1");
  return quoted ?? escaped ?? plain!;
}
