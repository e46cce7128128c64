/**
 * The handlers that the command line can name.
 *
 * @module
 */

import { pathToFileURL } from "node:url";
import type { RequestHandlerClass } from "../../handlers/base_request_handler.ts";
import { ChargenHandler } from "../../handlers/services/chargen_handler.ts";
import type { DatagramRequest } from "../../handlers/datagram_request.ts";
import { DatagramRequestHandler } from "../../handlers/datagram_request_handler.ts";
import { DaytimeHandler } from "../../handlers/services/daytime_handler.ts";
import { DiscardHandler } from "../../handlers/services/discard_handler.ts";
import { EchoHandler } from "../../handlers/services/echo_handler.ts";
import { StreamRequestHandler } from "../../handlers/stream_request_handler.ts";
import { SumHandler } from "../../handlers/services/sum_handler.ts";
import { isDatagram, type Transport } from "./address.ts";
import { suggest } from "./suggest.ts";
import { UsageError } from "./usage_error.ts";

/** A module that no file of this machine's is: `jsr:`, `https:` and the like. */
const SPECIFIER_REGEXP = /^(jsr|npm|https?|file|data):/;

/** A handler, and the module that replicas import it from. */
export interface NamedHandler {
  Handler: RequestHandlerClass;
  module: string;
}

const HANDLERS = new Map<string, NamedHandler>([
  ["echo", builtIn(EchoHandler, "echo")],
  ["discard", builtIn(DiscardHandler, "discard")],
  ["daytime", builtIn(DaytimeHandler, "daytime")],
  ["chargen", builtIn(ChargenHandler, "chargen")],
  ["sum", builtIn(SumHandler, "sum")],
]);

/** Finds a handler by its name, or imports `file.ts#Class`, `jsr:@x/y#Class`. */
export async function findHandler(
  name: string,
  transport: Transport,
): Promise<NamedHandler> {
  const builtIn = HANDLERS.get(name);
  if (builtIn !== undefined) return builtIn;
  const hash = name.lastIndexOf("#");
  if (hash < 1 || hash === name.length - 1) {
    throw new UsageError(
      `Unknown handler "${name}": expected ${
        [...HANDLERS.keys()].join(", ")
      }, file.ts#Class or jsr:@scope/name#Class${
        suggest(name, HANDLERS.keys())
      }`,
    );
  }
  const found = await importHandler(name.slice(0, hash), name.slice(hash + 1));
  assertSuits(found.Handler, transport);
  return found;
}

function builtIn(
  Handler: RequestHandlerClass<Deno.Conn | DatagramRequest>,
  name: string,
): NamedHandler {
  const url = new URL(
    `../../handlers/services/${name}_handler.ts`,
    import.meta.url,
  );
  return { Handler: Handler as RequestHandlerClass, module: url.href };
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
  const info = await Deno.stat(source).catch(() => null);
  if (info?.isFile) return pathToFileURL(source).href;
  throw new UsageError(`Cannot find the file "${source}" in "${Deno.cwd()}"`);
}

async function importModule(
  source: string,
  module: string,
): Promise<Record<string, unknown>> {
  try {
    return await import(module);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`Cannot import "${source}": ${message}`, { cause: error });
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
