/**
 * The values of the command line's options, checked.
 *
 * @module
 */

import { parseArgs, type ParseArgsConfig } from "node:util";
import { suggest } from "./suggest.ts";
import { UsageError } from "./usage_error.ts";

const DIGITS_REGEXP = /^\d+$/;
const UNKNOWN_REGEXP = /^Unknown option '(-[^']*)'/;

type Options = NonNullable<ParseArgsConfig["options"]>;

/** The given values by option. */
export type Values = Partial<Record<string, string | boolean | string[]>>;

/** Reads the options; `positionals` is what is none. */
export function parse(
  args: string[],
  options: Options,
): { values: Values; positionals: string[] } {
  try {
    const parsed = parseArgs({ args, options, allowPositionals: true });
    return { ...parsed, values: parsed.values as Values };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError(explain(error.message, Object.keys(options)));
  }
}

function explain(message: string, names: string[]): string {
  const unknown = message.match(UNKNOWN_REGEXP)?.[1];
  if (unknown !== undefined) {
    const near = suggest(unknown, names.map((name) => `--${name}`));
    return `Unknown option "${unknown}"${
      near || "; --help shows what there is"
    }`;
  }
  const [sentence = ""] = message.split(/\.\s/);
  const problem = sentence.replaceAll("'", '"').replace(
    /argument (missing|is ambiguous)$/,
    "needs a value",
  );
  return `${problem}; --help shows what there is`;
}

/** A text that is not empty. */
export function text(values: Values, name: string): string | undefined {
  const value = values[name] as string | undefined;
  if (value === "") throw new UsageError(`--${name} is empty: give a value`);
  return value;
}

/** The values of a repeated option, or between commas. */
export function list(values: Values, name: string): string[] | undefined {
  const items = (values[name] as string[] | undefined)
    ?.flatMap((item) => item.split(",").map((part) => part.trim()));
  if (items?.includes("")) {
    throw new UsageError(`--${name} is empty: give a value`);
  }
  return items;
}

/** One of `choices`; `undefined` if none was given. */
export function choice<T extends string>(
  values: Values,
  name: string,
  choices: readonly T[],
): T | undefined {
  const value = values[name];
  if (value === undefined) return undefined;
  const found = choices.find((choice) => choice === value);
  if (found !== undefined) return found;
  const near = suggest(String(value), choices);
  throw new UsageError(
    `Cannot use "${value}" as --${name}: expected ${choices.join(", ")}${near}`,
  );
}

/** An integer in a range. */
export function integer(
  values: Values,
  name: string,
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): number | undefined {
  const value = values[name];
  if (value === undefined) return undefined;
  const number = DIGITS_REGEXP.test(String(value)) ? Number(value) : NaN;
  if (number >= min && number <= max) return number;
  const range = max === Number.MAX_SAFE_INTEGER
    ? `of ${min} or more`
    : `from ${min} to ${max}`;
  throw new UsageError(
    `Cannot use "${value}" as --${name}: expected an integer ${range}`,
  );
}

/** Throws if one of the options was given. */
export function refuse(values: Values, names: string[], needed: string): void {
  const name = names.find((name) => values[name] !== undefined);
  if (name === undefined) return;
  throw new UsageError(`--${name} has no effect without ${needed}`);
}

/** Throws if more than one of the options was given. */
export function exclude(values: Values, names: string[]): void {
  const [one, other] = names.filter((name) => values[name] !== undefined);
  if (other === undefined) return;
  throw new UsageError(`Cannot use both --${one} and --${other}: give one`);
}

/** The values that are not `undefined`. */
export function given<T extends object>(
  values: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined),
  ) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
