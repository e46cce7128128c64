/**
 * Checks options and arguments.
 *
 * @module
 */

/** Throws unless `value` has the right type. */
export function assertType(
  name: string,
  value: unknown,
  right: boolean,
  expected: string,
): asserts right {
  if (right) return;
  throw new TypeError(
    `Cannot use ${quote(value)} as "${name}": expected ${expected}`,
  );
}

/** Throws unless `options` is an object that has only these members. */
export function assertOptions(
  options: unknown,
  what: string,
  known: readonly string[],
): void {
  if (
    typeof options !== "object" || options === null || Array.isArray(options)
  ) {
    throw new TypeError(
      `Cannot use ${
        quote(options)
      } as the options of ${what}: expected an object`,
    );
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    throw new TypeError(
      `Cannot use the option "${name}": ${what} has no such option, only ` +
        known.join(", "),
    );
  }
}

/** Throws unless `value` is an integer of 1 or more. */
export function assertPositiveInteger(name: string, value: unknown): void {
  assertInteger(name, value, 1);
}

/** Throws unless `value` is an integer between `min` and `max`. */
export function assertInteger(
  name: string,
  value: unknown,
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): void {
  assertType(name, value, typeof value === "number", "a number");
  if (!Number.isInteger(value) || value < min || value > max) {
    const range = max === Number.MAX_SAFE_INTEGER
      ? `of ${min} or more`
      : `from ${min} to ${max}`;
    throw new RangeError(
      `Cannot use ${value} as "${name}": expected an integer ${range}`,
    );
  }
}

const MAX_QUOTED = 80;

/** Quotes a value for a message. */
export function quote(value: unknown): string {
  if (typeof value === "string") return `"${value}"`;
  if (typeof value === "function") return `function "${value.name}"`;
  if (typeof value !== "object" || value === null) return String(value);
  try {
    const text = Deno.inspect(value, {
      depth: 1,
      compact: true,
      breakLength: Infinity,
    });
    return text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text;
  } catch {
    return "an object";
  }
}
