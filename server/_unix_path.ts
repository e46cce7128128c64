/**
 * Taking and leaving the path of a Unix socket.
 *
 * @module
 */

import { checkUnixAddress } from "./addresses.ts";

const PROBE_TIMEOUT_MS = 2_000;
const ANSWERED = 1;
const REFUSED = 2;
/**
 * Connects to a path and tells whether it was refused. A worker does it, since
 * a constructor can't wait for a promise but can for `Atomics`.
 */
const PROBE_SOURCE = `onmessage = async ({ data: [state, path] }) => {
  let outcome = ${ANSWERED};
  try {
    (await Deno.connect({ transport: "unix", path })).close();
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) outcome = ${REFUSED};
  }
  Atomics.store(state, 0, outcome);
  Atomics.notify(state, 0);
  self.close();
};`;

/** Whether a path names a socket without a file (Linux). */
export function isAbstract(path: string): boolean {
  return path.startsWith("\0");
}

/**
 * Opens a socket at `path`, in place of a socket file that nobody listens on
 * any more; returns it and the file's inode.
 */
export function takeUnixPath<S>(
  path: string,
  open: (path: string) => S,
): [socket: S, inode: number | null] {
  let socket: S;
  try {
    socket = open(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse) || isAbstract(path)) {
      throw error;
    }
    removeStale(path);
    socket = open(path);
  }
  return [socket, inodeOf(path)];
}

/** Removes the file at `path` if it is still the one with this inode. */
export function removeSocketFile(path: string, inode: number | null): void {
  if (inode !== null && inodeOf(path) === inode) removeQuietly(path);
}

/**
 * Runs `close`, which removes whatever lies at `path`, and keeps what is
 * somebody else's: the socket of a server that has taken our place.
 */
export function closeKeepingSuccessor(
  path: string,
  inode: number | null,
  close: () => void,
): void {
  const successor = inodeOf(path);
  if (inode === null || successor === null || successor === inode) {
    return close();
  }
  const aside = `${path}.${crypto.randomUUID().slice(0, 8)}`;
  try {
    Deno.linkSync(path, aside);
  } catch {
    // No link can be made here: the successor's file is lost, its socket lives
    return close();
  }
  try {
    close();
  } finally {
    Deno.renameSync(aside, path);
  }
}

function removeStale(path: string): void {
  const info = Deno.lstatSync(path);
  if (!info.isSocket) {
    throw new Deno.errors.AddrInUse(
      `a file that is not a socket lies at "${path}"; remove it or choose another path`,
    );
  }
  if (!isRefused(path) || inodeOf(path) !== info.ino) {
    throw new Deno.errors.AddrInUse(`another server listens on "${path}"`);
  }
  removeQuietly(path);
}

function isRefused(path: string): boolean {
  const state = new Int32Array(new SharedArrayBuffer(4));
  const source = `data:application/javascript,${
    encodeURIComponent(PROBE_SOURCE)
  }`;
  const worker = new Worker(source, { type: "module" });
  try {
    worker.postMessage([state, path]);
    Atomics.wait(state, 0, 0, PROBE_TIMEOUT_MS);
    return state[0] === REFUSED;
  } finally {
    worker.terminate();
  }
}

function inodeOf(path: string): number | null {
  if (isAbstract(path)) return null;
  try {
    return Deno.lstatSync(path).ino;
  } catch {
    return null;
  }
}

function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/**
 * The address with an absolute path where that fits a socket, so that its file
 * is found again after a change of the working directory.
 */
export function absoluteAddress(address: Deno.UnixAddr): Deno.UnixAddr {
  const { path, transport } = address;
  if (isAbstract(path) || path.startsWith("/")) return address;
  try {
    return checkUnixAddress({ path: `${Deno.cwd()}/${path}` }, transport);
  } catch {
    // Too long, or the working directory may not be read
    return address;
  }
}
