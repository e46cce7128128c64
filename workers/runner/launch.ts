/**
 * What a thread or process is launched with: the flags of this program, a
 * child's permissions, a thread's descriptors, and the text of its first module.
 *
 * @module
 */

import { type LaunchFlags, told } from "../line/dialect.ts";
import type { RunnerOptions } from "./runner.ts";
import { assertOptions, assertType } from "../base/check.ts";

/** The prefixes of flags to pass on: those that say how modules are found. */
const PASSED_REGEXP =
  /^--(unstable|import-map|config|no-config|lock|no-lock|frozen|vendor|cached-only|no-remote|no-npm|node-modules-dir|node-modules-linker|min-dep-age|cert|unsafely-ignore-certificate-errors|use-env-proxy|v8-flags|location|conditions|no-code-cache)(?=$|[-=])/;
/** Flags whose value may be the next argument. */
const VALUED_REGEXP =
  /^--(import-map|config|lock|node-modules-linker|min-dep-age|cert|location|conditions)$/;
/** Flags whose value is a path, which may be relative. */
const PATH_REGEXP = /^--(import-map|config|lock|cert)=(?![a-z]{2,}:)(.*)$/s;
/** A lock file without a name. */
const LOCK_NAME = "deno.lock";
const UNSTABLE_REGEXP = /"unstable"\s*:\s*\[([^\]]*)\]/;
const CONFIG_NAMES = ["deno.json", "deno.jsonc"];
/** Where the program was started, to which the paths of its flags belong. */
const START_FOLDER = currentFolder();

function currentFolder(): string {
  try {
    return Deno.cwd();
  } catch {
    return ""; // it may not be read, or was removed
  }
}

/** The command line of this process; empty if it can't be read. */
function commandLine(): string[] {
  try {
    const args = Deno.readTextFileSync("/proc/self/cmdline").split("\0");
    // It ends with a zero byte, after the program's arguments.
    return args.slice(1, args.length - 1 - Deno.args.length);
  } catch {
    return [];
  }
}

function flagsOf(args: string[]): string[] {
  const flags: string[] = [];
  for (let index = 0; index < args.length; index++) {
    let flag = args[index]!.replace(/^-c(?=$|=)/, "--config");
    if (!PASSED_REGEXP.test(flag)) continue;
    if (flag === "--lock" && args[index + 1]?.startsWith("-")) {
      flag += `=${LOCK_NAME}`;
    } else if (VALUED_REGEXP.test(flag)) flag += `=${args[++index] ?? ""}`;
    const path = PATH_REGEXP.exec(flag);
    flags.push(
      path === null || path[2]!.startsWith("/")
        ? flag
        : `--${path[1]}=${START_FOLDER}/${path[2]}`,
    );
  }
  return flags;
}

function mayRead(path: string): boolean {
  return Deno.permissions.querySync({ name: "read", path }).state === "granted";
}

/** The project that Deno finds beside or above the main module. */
interface Project {
  /** The path and text of the configuration. */
  config: [path: string, text: string] | null;
  /** Whether there is a package.json. */
  hasPackage: boolean;
  /** The path of a configuration that may be there, but may not be read. */
  hidden: string | null;
}

function findProject(): Project {
  const project: Project = { config: null, hasPackage: false, hidden: null };
  const main = Deno.mainModule;
  if (!main?.startsWith("file:")) return project;
  let folder = new URL(".", main);
  while (true) {
    for (const name of [...CONFIG_NAMES, "package.json"]) {
      const path = toPath(new URL(name, folder));
      if (!mayRead(path)) {
        project.hidden ??= path;
        continue;
      }
      const text = readText(path);
      if (text === null) continue;
      if (name === "package.json") project.hasPackage = true;
      else return { ...project, config: [path, text], hidden: null };
    }
    const parent = new URL("..", folder);
    if (parent.href === folder.href) return project;
    folder = parent;
  }
}

/** The text of a file; `null` if it is not there, or no file. */
function readText(path: string): string | null {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return null;
  }
}

function toPath(url: URL): string {
  const path = decodeURIComponent(url.pathname);
  return Deno.build.os === "windows" ? path.slice(1) : path;
}

function hasFlag(flags: string[], name: string): boolean {
  return flags.some((flag) => flag === name || flag.startsWith(`${name}=`));
}

/** The project by the flags that name its configuration, or as Deno finds it. */
function readProject(flags: string[]): Project {
  const project: Project = { config: null, hasPackage: false, hidden: null };
  if (hasFlag(flags, "--no-config")) return project;
  const given = flags.find((flag) => flag.startsWith("--config="))
    ?.slice("--config=".length);
  if (given === undefined) return findProject();
  const text = readText(given);
  return { ...project, config: text === null ? null : [given, text] };
}

function look(): LaunchFlags {
  const flags = flagsOf(commandLine());
  const { config, hasPackage, hidden } = readProject(flags);
  if (config !== null) {
    if (!hasFlag(flags, "--config")) flags.push(`--config=${config[0]}`);
  } else if (hasPackage && !hasFlag(flags, "--node-modules-dir")) {
    // Deno does not find it from a module that is no file
    flags.push("--node-modules-dir=manual");
  }
  // Without the command line, the available APIs show the flags.
  if (
    (Deno as Partial<typeof Deno>).listenDatagram !== undefined &&
    !hasFlag(flags, "--unstable-net")
  ) {
    flags.push("--unstable-net");
  }
  const unstable = UNSTABLE_REGEXP.exec(config?.[1] ?? "")?.[1] ?? "";
  const workerOptions = hasFlag(flags, "--unstable") ||
    hasFlag(flags, "--unstable-worker-options") ||
    unstable.includes('"worker-options"');
  return { flags, workerOptions, hidden };
}

/**
 * Returns the program's flags.
 *
 * @returns The flags found at the first call, or those of the parent.
 */
export function launchFlags(): LaunchFlags {
  return told.launchFlags ??= look();
}

/**
 * Returns the URL of a runner's first module.
 *
 * The imports are literal, so that they count as the runner's own code and need
 * no permission. Those of the user's modules are dynamic, so that their failure
 * can be reported. The same modules give the same URL: what Deno has found out about it, such as its
 * types under "deno test", serves the next runner as well.
 *
 * @param entry The URL of the module that exports `enter`.
 * @param options Which modules to import.
 * @returns A `data:` URL.
 */
export function entryUrl(entry: string, options: RunnerOptions): string {
  const modules = (options.modules ?? []).map((url) => JSON.stringify(url));
  const loaders = modules.map((url) => `[${url}, () => import(${url})]`);
  const source = `import { enter } from ${JSON.stringify(entry)};
import { main } from ${JSON.stringify(options.main)};
enter([${loaders.join(", ")}], main);
`;
  return `data:application/javascript,${encodeURIComponent(source)}`;
}

// If Deno finds no descriptors for a thread, the whole program ends
const FILE = new URL(import.meta.url);
/** Descriptors that a thread takes: up to nine were measured. */
const NEEDED = 10;
/** What clients may take until it has: threads accept them, too. */
const MARGIN = 16;
const SHORT = new Set(["EMFILE", "ENFILE"]);

let starting = 0;

/**
 * Reserves the descriptors of a thread that starts.
 *
 * @param name The thread's name, for the error.
 * @returns A function to call when it has taken them, or has ended.
 * @throws {Error} If there are too few.
 */
export function reserveDescriptors(name: string): () => void {
  assertFree((starting + 1) * NEEDED + MARGIN, name);
  starting++;
  let isReserved = true;
  return () => {
    if (isReserved) starting--;
    isReserved = false;
  };
}

/** Opens a file `count` times: Deno has no other way to count free descriptors. */
function assertFree(count: number, name: string): void {
  if (FILE.protocol !== "file:") return;
  const files: Deno.FsFile[] = [];
  let cause: Error | null = null;
  try {
    while (files.length < count) files.push(Deno.openSync(FILE));
  } catch (error) {
    cause = error as Error;
  }
  for (const file of files) file.close();
  const { code } = (cause ?? {}) as { code?: string };
  if (code === undefined || !SHORT.has(code)) return;
  throw Object.assign(
    new Error(
      `Cannot start thread "${name}": the program has too few free file ` +
        `descriptors (${files.length} of ${count}); raise the limit with ` +
        '"ulimit -n", or lower "maxConnections" or "workers"',
    ),
    { code },
  );
}

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
  const items = list.map((item) =>
    item instanceof URL && item.protocol === "file:"
      ? decodeURIComponent(item.pathname)
      : String(item)
  );
  const unfit = items.find((item) => item.includes(","));
  if (unfit !== undefined) {
    throw new TypeError(
      `Cannot give a process the permission "${name}" for "${unfit}": a comma ` +
        "separates the items of Deno's flag; give what contains it, or rename it",
    );
  }
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
