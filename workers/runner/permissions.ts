/**
 * The permissions of a child process.
 *
 * @module
 */

import { assertOptions, assertType } from "../base/check.ts";

/**
 * The names of all permissions, each also a flag `--allow-…`, and what a
 * descriptor calls the part that it is about.
 */
const PARTS = {
  run: "command",
  read: "path",
  write: "path",
  net: "host",
  env: "variable",
  sys: "kind",
  ffi: "path",
  import: "host",
} as const;

/** Where Deno imports from without a flag; a flag replaces them. */
const DEFAULT_IMPORT_HOSTS = [
  "deno.land",
  "jsr.io",
  "esm.sh",
  "raw.esm.sh",
  "cdn.jsdelivr.net",
  "raw.githubusercontent.com",
  "gist.githubusercontent.com",
];

type Name = keyof typeof PARTS;
type List = readonly (string | URL)[];

/** The part of a permission that only the channel needs. */
export interface ChannelNeed {
  /** The permissions granted to the child. */
  item: string;
  /**
   * A permission next to `item`, such as another file of its folder. If the child
   * has it, its owner has granted something larger that includes `item`: a folder
   * above, a pattern, a subnet. Then `item` is not revoked.
   */
  similar: string;
}

/** The needs of the channel. */
export type ChannelNeeds = { [name in Name]?: ChannelNeed };

/** The permissions that a child revokes, unless it has the second. */
export type Revocation = [
  descriptor: Deno.PermissionDescriptor,
  unless: Deno.PermissionDescriptor,
];

/** The permissions of a child's start. */
export interface ChildPermissions {
  /** The flags. */
  flags: string[];
  /** The permissions that the child revokes before it loads the user's code. */
  revoke: Revocation[];
}

function describe(name: Name, item?: string | URL): Deno.PermissionDescriptor {
  const part = item === undefined ? {} : { [PARTS[name]]: item };
  return { name, ...part } as Deno.PermissionDescriptor;
}

/** Returns whether this program has all of a permission. */
export function isGranted(descriptor: Deno.PermissionDescriptor): boolean {
  const { state, partial } = Deno.permissions.querySync(descriptor);
  return state === "granted" && !partial;
}

/** The extent of one permission: all, or a list. */
function grant(name: Name, wanted: unknown): true | List {
  if (wanted === "inherit") return isGranted({ name }) || [];
  const items = Array.isArray(wanted) ? wanted as List : [];
  for (const item of wanted === true ? [undefined] : items) {
    if (isGranted(describe(name, item))) continue;
    throw new Deno.errors.NotCapable(
      `Cannot give a process the permission "${name}"${
        item === undefined ? "" : ` for "${item}"`
      }: this program does not have it itself`,
    );
  }
  return wanted === true || items;
}

function toFlag(name: Name, list: List): string {
  // A comma separates; two of them are one.
  const items = list.map((item) =>
    (item instanceof URL && item.protocol === "file:"
      ? decodeURIComponent(item.pathname)
      : String(item)).replaceAll(",", ",,")
  );
  return `--allow-${name}=${items.join(",")}`;
}

/** The hosts that a child must import from, and needs a flag for. */
function importHosts(modules: string[]): string[] {
  const hosts = modules.map((url) => new URL(url))
    .filter(({ protocol }) => /^https?:$/.test(protocol))
    .map(({ host }) => host)
    .filter((host) => !DEFAULT_IMPORT_HOSTS.includes(host))
    .filter((host) => isGranted(describe("import", host)));
  return [...new Set(hosts)];
}

/**
 * Computes a child's permissions: those that the caller gives, at most those of
 * this program, and until it has connected those of its channel.
 *
 * Deno can't list partial permissions: "inherit" passes on permissions that
 * this program has in full, and none that it has in part.
 *
 * @param options The caller's permissions.
 * @param needs The needs of the channel.
 * @param modules URLs of the modules that the child imports.
 * @returns The flags, and the permissions to revoke.
 * @throws {Deno.errors.NotCapable} If the caller gives more than it has.
 * @throws {TypeError} If the options make no sense.
 */
export function childPermissions(
  options: Deno.PermissionOptions,
  needs: ChannelNeeds,
  modules: string[],
): ChildPermissions {
  const wanted = options as string | Partial<Record<Name, unknown>>;
  if (typeof wanted === "string") {
    const right = wanted === "inherit" || wanted === "none";
    assertType("permissions", wanted, right, '"inherit", "none", or an object');
  } else assertOptions(wanted, '"permissions"', Object.keys(PARTS));
  const flags: string[] = [];
  const revoke: Revocation[] = [];
  for (const name of Object.keys(PARTS) as Name[]) {
    const given = grant(
      name,
      typeof wanted === "string" ? wanted : wanted[name],
    );
    if (given === true) {
      flags.push(`--allow-${name}`);
      continue;
    }
    const list = [...given];
    if (name === "import") {
      const hosts = importHosts(modules);
      if (hosts.length > 0) list.push(...DEFAULT_IMPORT_HOSTS, ...hosts);
    }
    const need = needs[name];
    if (need !== undefined) {
      list.push(need.item);
      revoke.push([describe(name, need.item), describe(name, need.similar)]);
    }
    if (list.length > 0) flags.push(toFlag(name, list));
  }
  return { flags, revoke };
}
