/**
 * Splitting a command line without a shell.
 *
 * @module
 */

import { UsageError } from "./usage_error.ts";

/** A quoted part, an escaped character, or what needs neither. */
const PART_REGEXP = /'[^']*'|"(?:[^"\\]|\\[^])*"|\\[^]|[^\s'"\\]+/y;
const SPACE_REGEXP = /\s*/y;
const ESCAPE_REGEXP = /\\(["\\])/g;

/**
 * Splits a command line as a shell does: at spaces, but not in quotes or after
 * a backslash. Nothing else has a meaning.
 */
export function splitCommand(line: string): string[] {
  const words: string[] = [];
  for (let at = 0;;) {
    at = skip(SPACE_REGEXP, line, at);
    if (at === line.length) break;
    const [word, end] = readWord(line, at);
    words.push(word);
    at = end;
  }
  if (words[0]) return words;
  throw new UsageError("--exec is empty: give a command");
}

function readWord(line: string, start: number): [word: string, end: number] {
  let word = "";
  let at = start;
  for (;;) {
    const end = skip(PART_REGEXP, line, at);
    if (end === at) break;
    word += unquote(line.slice(at, end));
    at = end;
  }
  if (at < line.length && !/\s/.test(line[at]!)) {
    throw new UsageError(
      `Cannot split "${line}" into words: ${line.slice(at)} has no end`,
    );
  }
  return [word, at];
}

function unquote(part: string): string {
  switch (part[0]) {
    case "'":
      return part.slice(1, -1);
    case '"':
      return part.slice(1, -1).replaceAll(ESCAPE_REGEXP, "$1");
    case "\\":
      return part.slice(1);
    default:
      return part;
  }
}

/** Where a match at `at` ends, `at` itself without one. */
function skip(regexp: RegExp, text: string, at: number): number {
  regexp.lastIndex = at;
  return regexp.test(text) ? regexp.lastIndex : at;
}
