/**
 * Takes and releases the path of a Unix socket.
 *
 * @module
 */

import { settings } from "../_internal.ts";
import { checkUnixAddress } from "../addresses.ts";

const PERMISSIONS = 0o777;
/**
 * How long a constructor that finds a file at its path may wait. A thread and
 * its connect take 20 ms, on a busy machine over 2 s.
 */
const PROBE_TIMEOUT_MS = 5_000;
const ANSWERED = 1;
const REFUSED = 2;
/**
 * Connects to a path and reports whether it was refused. It runs in a worker: a
 * constructor can't await a promise, but can wait by `Atomics`.
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

/** The file of a server's socket, from its first bind to its last. */
export class SocketFile {
  readonly path: string;
  #mode: number | undefined;
  /** The identity of the current file. */
  #own: string | null = null;
  /** The last file as it was when it was given up. */
  #last: Deno.FileInfo | null = null;

  /** `mode` is that of the file at every bind; by default, that of the last. */
  constructor(path: string, mode?: number) {
    this.path = path;
    this.#mode = mode;
  }

  /** Opens a socket at the path, replacing a socket file without a listener. */
  bind<S extends { close(): void }>(open: (path: string) => S): S {
    const { path } = this;
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
    this.#own = identify(path);
    try {
      if (this.#own !== null) this.#setAccess();
      return socket;
    } catch (error) {
      socket.close();
      this.remove();
      throw error;
    }
  }

  /** Keeps its mode and owner: the socket is about to be closed. */
  note(): void {
    if (this.#isOurs()) this.#last = Deno.lstatSync(this.path);
  }

  /** Removes it, if it is still the same file. */
  remove(): void {
    this.note();
    if (this.#isOurs()) removeQuietly(this.path);
    this.#own = null;
  }

  /**
   * Changes a listener's `close()`, which removes any file at its path, to keep
   * the socket of a server that took our place.
   */
  keepSuccessor(listener: Deno.UnixListener): void {
    const { path } = this;
    const accept = listener.accept.bind(listener);
    const close = listener.close.bind(listener);
    let accepting: Promise<unknown> | null = null;
    listener.accept = () => accepting = accept();
    listener.close = () => {
      this.note();
      const isFree = this.#own === null || identify(path) === null;
      const aside = isFree || this.#isOurs() ? null : putAside(path);
      try {
        close();
      } finally {
        if (aside !== null) putBack(aside, path, accepting);
      }
    };
  }

  #isOurs(): boolean {
    return this.#own !== null && identify(this.path) === this.#own;
  }

  #setAccess(): void {
    const { path } = this;
    const { mode = null, uid = null, gid = null } = this.#last ?? {};
    const now = Deno.lstatSync(path);
    if (uid !== null && (uid !== now.uid || gid !== now.gid)) {
      try {
        Deno.chownSync(path, uid, gid);
      } catch {
        // Only root may give a file away, also back
      }
    }
    const wanted = this.#mode ?? mode;
    if (wanted !== null) Deno.chmodSync(path, wanted & PERMISSIONS);
  }
}

const files: WeakMap<object, SocketFile> = new WeakMap();

/** The socket file of a server. */
export function fileOf(
  server: {
    serverAddress: Deno.UnixAddr;
    [settings]: { mode?: number };
  },
): SocketFile {
  let file = files.get(server);
  if (file === undefined) {
    const { path } = absoluteAddress(server.serverAddress);
    file = new SocketFile(path, server[settings].mode);
    files.set(server, file);
  }
  return file;
}

/** Makes a second link to a file; null if it can't. */
function putAside(path: string): string | null {
  const aside = `${path}.${crypto.randomUUID().slice(0, 8)}`;
  try {
    Deno.linkSync(path, aside);
    return aside;
  } catch {
    return null; // The successor's file is lost, its socket lives
  }
}

/** Deno removes the path when no accept is pending. */
function putBack(
  aside: string,
  path: string,
  accepting: Promise<unknown> | null,
): void {
  const rename = () => {
    try {
      Deno.renameSync(aside, path);
    } catch {
      // The folder is gone
    }
  };
  if (accepting === null) rename();
  else accepting.then(rename, rename);
}

function removeStale(path: string): void {
  const file = identify(path);
  if (!Deno.lstatSync(path).isSocket) {
    throw new Deno.errors.AddrInUse(
      `a file that is not a socket lies at "${path}"; remove it or choose another path`,
    );
  }
  const outcome = probe(path);
  if (outcome === 0) {
    throw new Deno.errors.AddrInUse(
      `another server may listen on "${path}": no answer within ${PROBE_TIMEOUT_MS} ms; remove the file if there is none`,
    );
  }
  if (outcome === ANSWERED || identify(path) !== file) {
    throw new Deno.errors.AddrInUse(`another server listens on "${path}"`);
  }
  removeQuietly(path);
}

/** Connects to a path: `ANSWERED`, `REFUSED`, or 0 if neither came in time. */
function probe(path: string): number {
  const state = new Int32Array(new SharedArrayBuffer(4));
  const source = `data:application/javascript,${
    encodeURIComponent(PROBE_SOURCE)
  }`;
  const worker = new Worker(source, { type: "module" });
  try {
    worker.postMessage([state, path]);
    Atomics.wait(state, 0, 0, PROBE_TIMEOUT_MS);
    return state[0]!;
  } finally {
    worker.terminate();
  }
}

/**
 * A file's identity: its inode, which a later file may reuse, and its creation
 * time.
 */
function identify(path: string): string | null {
  if (isAbstract(path)) return null;
  try {
    const { ino, birthtime, mtime } = Deno.lstatSync(path);
    return `${ino}-${(birthtime ?? mtime)?.getTime()}`;
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
 * The address with an absolute path, if it is short enough: a change of the
 * working directory then does no harm.
 */
function absoluteAddress(address: Deno.UnixAddr): Deno.UnixAddr {
  const { path, transport } = address;
  if (isAbstract(path) || path.startsWith("/")) return address;
  try {
    return checkUnixAddress({ path: `${Deno.cwd()}/${path}` }, transport);
  } catch {
    // Too long, or no permission to read the working directory
    return address;
  }
}
