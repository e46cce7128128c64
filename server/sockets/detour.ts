/**
 * Paths to clients that can be taken back.
 *
 * @module
 */

import { isAbstract } from "./unix_path.ts";

/** The longest path of a Unix socket in bytes. */
const MAX_PATH_BYTES = 107;
const PERMISSIONS = [
  "read",
  "write",
  "net",
  "env",
  "run",
  "sys",
  "ffi",
] as const;
const encoder = new TextEncoder();

/**
 * Leads to clients through a folder beside a socket. While a packet waits for
 * its client, the system looks the client's path up again and again; without
 * the folder it finds nothing, and the send ends. Deno can't cancel it.
 *
 * Without all permissions, Deno simplifies each path that it checks, and takes
 * the folder out: then there is no detour.
 */
export class Detour {
  #folder: string | null;
  /** The folder beside the socket, and the way from there to the root. */
  #beside: string;
  #toRoot: string | null = null;
  #isOpen = false;

  /** `path` is that of the socket. */
  constructor(path: string) {
    this.#beside = path.slice(0, path.lastIndexOf("/") + 1);
    // The same at each start: what a crash leaves behind is found again
    const name = `.${hash(path).toString(36)}`;
    const isPossible = !isAbstract(path) && hasAllPermissions();
    this.#folder = isPossible ? this.#beside + name : null;
  }

  /** A path to a client: its own if there is no other. */
  to(path: string): string {
    if (!path.startsWith("/") || !this.#open()) return path;
    const beside = this.#beside;
    const way = beside !== "" && path.startsWith(beside)
      ? `${this.#folder}/../${path.slice(beside.length)}`
      : `${this.#folder}${this.#toRoot}${path}`;
    return encoder.encode(way).length > MAX_PATH_BYTES ? path : way;
  }

  /** Ends the sends that wait for a client. */
  cut(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    try {
      Deno.removeSync(this.#folder!);
    } catch {
      // Another program has removed it
    }
  }

  /** Looks again whether the folder is there, before the next packet. */
  doubt(): void {
    this.#isOpen = false;
  }

  #open(): boolean {
    if (this.#isOpen) return true;
    if (this.#folder === null) return false;
    try {
      Deno.mkdirSync(this.#folder, { recursive: true });
      // In a folder that others may write to, a link could lead to their files
      if (!isOwn(this.#folder)) throw new Error("Made by somebody else");
      const depth = Deno.realPathSync(this.#folder).split("/").length - 1;
      this.#toRoot = "/..".repeat(depth);
      return this.#isOpen = true;
    } catch {
      this.#folder = null; // no permission, for example
      return false;
    }
  }
}

function isOwn(folder: string): boolean {
  const { isDirectory, uid } = Deno.lstatSync(folder);
  return isDirectory && uid === Deno.uid();
}

function hasAllPermissions(): boolean {
  return PERMISSIONS.every((name) => {
    const { state, partial } = Deno.permissions.querySync({ name });
    return state === "granted" && !partial;
  });
}

/** A number of 30 bits. */
function hash(text: string): number {
  let value = 0;
  for (const byte of encoder.encode(text)) {
    value = Math.imul(value, 31) + byte | 0;
  }
  return value & 0x3fffffff;
}
