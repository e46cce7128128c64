/**
 * Addresses and subnets.
 *
 * @module
 */

import type { BlockList } from "node:net";
import { quote } from "../../workers/_validate.ts";

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
    if (!Array.isArray(entries)) throw misfit(option, entries);
    for (const entry of entries) {
      if (typeof entry !== "string") throw misfit(option, entry);
      const [, address = "", bits] = ENTRY_REGEXP.exec(entry) ?? [];
      const version = isIP(address);
      if (version === 0 || Number(bits ?? 0) > (version === 4 ? 32 : 128)) {
        throw misfit(option, entry);
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

function misfit(option: string, entry: unknown): TypeError {
  return new TypeError(
    `Cannot use ${
      quote(entry)
    } in "${option}": expected a list of addresses and subnets such as "10.0.0.1" or "10.0.0.0/8"`,
  );
}
