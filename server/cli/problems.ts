/**
 * Errors in one line.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { ModuleImportError } from "../../workers/base/errors.ts";

/** Arguments that can't work; ends the program with exit code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

const IMPORT_REGEXP = /^Cannot import "/;
/** What Deno says of a flag that is missing. */
const HAS_CURE_REGEXP = /run again with|needs --allow/;
/** The lines of code that Deno shows below a syntax error. */
const CODE_FRAME_REGEXP = /\n\s*\|(?:\n\s*\d*\s*\|.*)+/g;
/** Deno numbers the causes of a failed download; the first has them all. */
const CAUSE_REGEXP = /\.?\n\s+0:( .*)(?:\n\s+\d+: .*)*/;
/** Where it happened, in a message or a stack. */
const PLACE_REGEXP =
  /\s+at (?:async )?(?:[^\n]*\()?((?:file|https?|data|blob):\S+?:\d+:\d+)\)?$/gm;
/** This package's folders. A user's handler may be in its examples. */
const OWN_URLS = ["server/", "handlers/", "workers/"].map((folder) =>
  new URL(`../../${folder}`, import.meta.url).href
);

/** Why it failed, in one line without colors; an import with its place. */
export function describeProblem(error: unknown): string {
  const text = toPlain(error instanceof Error ? error.message : String(error));
  return error instanceof ModuleImportError && IMPORT_REGEXP.test(text)
    ? describeImport(text, error)
    : toLine(text);
}

function describeImport(
  text: string,
  { module, cause }: ModuleImportError,
): string {
  const { stack } = Object(cause) as Error;
  const place = findPlace(`${text}\n${toPlain(String(stack))}`);
  const why = toLine(text.replaceAll(PLACE_REGEXP, "")).replace(/\.$/, "");
  const where = place === null ? why : `${why} (${place})`;
  if (HAS_CURE_REGEXP.test(why)) return where;
  if (place !== null) return `${where}; correct the code there`;
  return module?.startsWith("file:")
    ? `${where}; correct this module`
    : `${where}; check the address and the network`;
}

function toPlain(text: string): string {
  return stripVTControlCharacters(text).replaceAll(CODE_FRAME_REGEXP, "")
    .replace(CAUSE_REGEXP, ":$1");
}

function toLine(text: string): string {
  return text.trim().replaceAll(/\s*\n\s*/g, "; ");
}

/** The first place in the user's code. */
function findPlace(text: string): string | null {
  for (const [, url = ""] of text.matchAll(PLACE_REGEXP)) {
    if (OWN_URLS.some((own) => url.startsWith(own))) continue;
    return url.startsWith("file:") ? fileURLToPath(url) : url;
  }
  return null;
}

/** Patterns of errors, and what to do about each; the first match counts. */
export type Cures = readonly (readonly [pattern: RegExp, cure: string])[];

/** The error with its cure, if one fits; a missing permission names its own. */
export function withCure(error: unknown, cures: Cures): unknown {
  if (!(error instanceof Error) || error instanceof Deno.errors.NotCapable) {
    return error;
  }
  const [, cure] = cures.find(([pattern]) => pattern.test(`${error}`)) ?? [];
  return cure === undefined
    ? error
    : new Error(`${error.message}; ${cure}`, { cause: error });
}

/** `Cannot do it: why; cure`. */
export function failure(
  what: string,
  error: unknown,
  cures: Cures = [],
): unknown {
  const cured = withCure(error, cures);
  return cured instanceof Error
    ? new Error(`${what}: ${cured.message}`, { cause: error })
    : cured;
}

/** The cure where nobody answers. */
export function startServer(address: Deno.Addr): Cures[number] {
  const options = "path" in address ? "--path" : "--hostname or --port";
  return [/^/, `start a server there or give another ${options}`];
}
