/**
 * Checks options and arguments.
 *
 * @module
 */

/** The longest delay of a timer. */
export const MAX_TIMEOUT = 2 ** 31 - 1;

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
  example = `{ ${known.join(", ")} }`,
): void {
  if (
    typeof options !== "object" || options === null || Array.isArray(options)
  ) {
    throw new TypeError(
      `Cannot use ${
        quote(options)
      } as the options of ${what}: expected an object such as ${example}`,
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
  if (typeof value === "function") {
    return value.name === "" ? "a function" : `function "${value.name}"`;
  }
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

/** Checks a name. */
export function checkName(name: unknown): string {
  assertType("name", name, typeof name === "string", "a string");
  return name;
}

/** Throws unless it is a time-out or `undefined`. */
export function checkTimeout(timeout: unknown, option = "timeout"): void {
  if (timeout === undefined) return;
  const right = typeof timeout === "number" && !Number.isNaN(timeout);
  assertType(option, timeout, right, "milliseconds");
  if (timeout < 0) {
    throw new RangeError(
      `Cannot use ${timeout} as "${option}": expected 0 or more`,
    );
  }
}

/** Checks a signal. */
export function checkSignal(value: unknown): void {
  const right = value === undefined || value instanceof AbortSignal;
  assertType("signal", value, right, "an AbortSignal");
}
