/**
 * The checks of single options: each throws unless the value fits.
 *
 * @module
 */

import type { BlockList } from "node:net";
import { assertInteger, quote } from "../../workers/base/check.ts";

const LIST =
  'a list of addresses and subnets such as "10.0.0.1" or "10.0.0.0/8"';
const ENTRY_REGEXP = /^([^/%]+)(?:\/(\d{1,3}))?$/;

type Net = Pick<typeof import("node:net"), "BlockList" | "isIP">;

/** A list of addresses and subnets. */
export class AddressList {
  #list: BlockList;

  /**
   * Makes a list.
   *
   * @param option The name of the option, for errors.
   * @param entries Addresses and subnets: `"::1"`, `"10.0.0.0/8"`.
   * @throws {TypeError} If one of them is neither.
   */
  constructor(option: string, entries: readonly string[]) {
    // Imported at its first use: it would make starting a thread half as slow
    // again
    const { BlockList, isIP } = (globalThis as unknown as {
      process: { getBuiltinModule(id: string): unknown };
    }).process.getBuiltinModule("node:net") as Net;
    this.#list = new BlockList();
    if (!Array.isArray(entries)) throw misfit(option, entries, LIST, "in");
    for (const entry of entries) {
      if (typeof entry !== "string") throw misfit(option, entry, LIST, "in");
      const [, address = "", bits] = ENTRY_REGEXP.exec(entry) ?? [];
      const version = isIP(address);
      if (version === 0 || Number(bits ?? 0) > (version === 4 ? 32 : 128)) {
        throw misfit(option, entry, LIST, "in");
      }
      const family = version === 4 ? "ipv4" : "ipv6";
      if (bits === undefined) this.#list.addAddress(address, family);
      else this.#list.addSubnet(address, Number(bits), family);
    }
  }

  /**
   * Whether an address is in the list. An address without a host never is.
   *
   * @param address The address of a client.
   */
  has(address: Deno.Addr): boolean {
    if (!("hostname" in address)) return false;
    const { hostname } = address;
    return this.#list.check(hostname, hostname.includes(":") ? "ipv6" : "ipv4");
  }
}

/** A longer timer would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** TLS has one byte for the length of a name. */
const MAX_PROTOCOL_BYTES = 255;
const encoder = new TextEncoder();

/** Checks the value of an option. */
export type Check = (name: string, value: unknown) => void;

function misfit(
  name: string,
  value: unknown,
  expected: string,
  place: "as" | "in" = "as",
): TypeError {
  return new TypeError(
    `Cannot use ${quote(value)} ${place} "${name}": expected ${expected}`,
  );
}

/** A check by a test. */
function is(test: (value: unknown) => boolean, expected: string): Check {
  return (name, value) => {
    if (!test(value)) throw misfit(name, value, expected);
  };
}

/** True or false. */
export const boolean: Check = is(
  (value) => typeof value === "boolean",
  "true or false",
);

/** An `AbortSignal`. */
export const abortSignal: Check = is(
  (value) => value instanceof AbortSignal,
  "an AbortSignal",
);

/** Names of the system's signals. */
export const signalNames: Check = is(
  (value) =>
    Array.isArray(value) && value.every((item) => /^SIG[A-Z\d]+$/.test(item)),
  'a list such as ["SIGTERM"]',
);

/** The URL of a module. */
export const moduleUrl: Check = is(
  (value) => typeof value === "string" || value instanceof URL,
  "import.meta.url",
);

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
    const expected = `a name of 1 to ${MAX_PROTOCOL_BYTES} bytes, such as "h2"`;
    throw misfit(name, item, expected, "in");
  }
}

/** Addresses and subnets. */
export function addresses(name: string, value: unknown): void {
  new AddressList(name, value as string[]);
}

/** An integer in a range. */
export function integer(min: number, max?: number): Check {
  return (name, value) => assertInteger(name, value, min, max);
}

/** A time. */
export function milliseconds(min: number): Check {
  return integer(min, MAX_TIMER_MS);
}

/** What `check` allows, or one more value. */
export function or(other: unknown, check: Check): Check {
  return (name, value) => {
    if (value !== other) check(name, value);
  };
}

/** What `check` allows, or no limit. */
export function orInfinity(check: Check): Check {
  return or(Infinity, check);
}

/** One of some texts. */
export function oneOf(...values: string[]): Check {
  const expected = values.map(quote).join(", ");
  return is((value) => values.includes(value as string), expected);
}

const OTHER_FORMAT = "give the text of a PEM file";
/** A key in PKCS#8, or in an older form. */
const ENCRYPTED_REGEXP = /^-----BEGIN ENCRYPTED |^Proc-Type: 4,ENCRYPTED/m;
/** Deno's messages about an unusable pair, and what they mean. */
const FAULTS: [message: RegExp, meaning: string][] = [
  [
    /No certificates found/,
    `"cert": it holds no certificate in PEM; ${OTHER_FORMAT}`,
  ],
  [/No keys found/, `"key": it holds no private key in PEM; ${OTHER_FORMAT}`],
  [
    /not be consistent|KeyMismatch/,
    '"key": it does not fit "cert"; give the key that the certificate was made for',
  ],
  [/key/i, `"key": Deno cannot read it; ${OTHER_FORMAT}`],
  [/./, `"cert": Deno cannot read it; ${OTHER_FORMAT}`],
];

/**
 * Checks a certificate and its key.
 *
 * @throws {TypeError} If they can't be used.
 */
export function checkCertificate(cert: string, key: string): void {
  try {
    // Unlike a listener, this takes neither a port nor a permission
    Deno.createHttpClient({ cert, key }).close();
  } catch (cause) {
    const { message } = cause as Error;
    if (ENCRYPTED_REGEXP.test(key)) {
      throw new TypeError(
        'Cannot use "key": it is encrypted, and Deno takes no passphrase; decrypt it, for example with "openssl pkey -in key.pem -out plain.pem"',
        { cause },
      );
    }
    const [, meaning] = FAULTS.find(([regexp]) => regexp.test(message))!;
    throw new TypeError(`Cannot use ${meaning}`, { cause });
  }
}
