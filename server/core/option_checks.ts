/**
 * The checks of single options: each throws unless the value fits.
 *
 * @module
 */

import { assertInteger, quote } from "../../workers/_validate.ts";
import { AddressList } from "./address_list.ts";

/** A longer timer would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** TLS has one byte for the length of a name. */
const MAX_PROTOCOL_BYTES = 255;
const encoder = new TextEncoder();

/** Checks the value of an option. */
export type Check = (name: string, value: unknown) => void;

function misfit(name: string, value: unknown, expected: string): TypeError {
  return new TypeError(
    `Cannot use ${quote(value)} as "${name}": expected ${expected}`,
  );
}

/** True or false. */
export function boolean(name: string, value: unknown): void {
  if (typeof value !== "boolean") throw misfit(name, value, "true or false");
}

/** The text of a PEM file. */
export function text(name: string, value: unknown): void {
  if (typeof value === "string") return;
  // Never quoted: it may hold a private key
  throw new TypeError(
    `Cannot use a value of type ${typeof value} as "${name}": expected the text of a PEM file`,
  );
}

/** Names of protocols. */
export function protocols(name: string, value: unknown): void {
  if (!Array.isArray(value)) {
    throw misfit(name, value, 'a list such as ["h2"]');
  }
  for (const item of value) {
    const { length } = encoder.encode(typeof item === "string" ? item : "");
    if (length > 0 && length <= MAX_PROTOCOL_BYTES) continue;
    throw new TypeError(
      `Cannot use ${
        quote(item)
      } in "${name}": expected a name of 1 to ${MAX_PROTOCOL_BYTES} bytes, such as "h2"`,
    );
  }
}

/** Addresses and subnets. */
export function addresses(name: string, value: unknown): void {
  new AddressList(name, value as string[]);
}

/** An `AbortSignal`. */
export function abortSignal(name: string, value: unknown): void {
  if (!(value instanceof AbortSignal)) {
    throw misfit(name, value, "an AbortSignal");
  }
}

/** An integer, which may be 0. */
export function orZero(name: string, value: unknown): void {
  assertInteger(name, value, 0);
}

/** A time. */
export function milliseconds(min: number): Check {
  return (name, value) => assertInteger(name, value, min, MAX_TIMER_MS);
}

/** What `check` allows, or no limit. */
export function orInfinity(check: Check): Check {
  return (name, value) => {
    if (value !== Infinity) check(name, value);
  };
}

/** What `check` allows, or `null`. */
export function orNull(check: Check): Check {
  return (name, value) => {
    if (value !== null) check(name, value);
  };
}

/** One of some texts. */
export function oneOf(...values: string[]): Check {
  return (name, value) => {
    if (!values.includes(value as string)) {
      throw misfit(name, value, values.map(quote).join(", "));
    }
  };
}
