/**
 * The private socket to which child processes connect, and the guard that
 * leaves neither it nor them behind when this program is killed.
 *
 * A child notices the end of its channel, unless it never returns to its event
 * loop. So a guard process waits for the end of its input, which comes when
 * this program ends in any way.
 *
 * @module
 */

import {
  type ChannelConn,
  type ChildLink,
  LINK_VARIABLE,
} from "../line/socket_line.ts";
import { type ChannelNeed, type ChannelNeeds, isGranted } from "./launch.ts";

const ENV_NEED = { item: LINK_VARIABLE, similar: `${LINK_VARIABLE}_` };
/** The length of a secret: that of a UUID. */
const SECRET_LENGTH = 36;
/**
 * How long to wait after a failed accept, for example without a free
 * descriptor.
 */
const RETRY_INTERVAL = 20;

/** A child that has not connected yet. */
export interface ExpectedChild {
  /** Its address. */
  connect: ChildLink["connect"];
  /** The permissions that the connection needs. */
  needs: ChannelNeeds;
  /** The folder of the private socket, to be removed at the end. */
  folder: string | null;
  /** Its first message. */
  secret: string;
  /** Its connection, or `null` if it never connected. */
  conn: Promise<ChannelConn | null>;
  /** Stops expecting it. */
  cancel(): void;
}

/** How long a new connection may take to send its secret. */
const GREETING_LIMIT = 5_000;
/** What blocks the event loop delays the secret, too: it is read before that. */
const LAST_LOOK = 50;
/**
 * Most connections without a secret, beside those of the expected children.
 * Beyond that, the oldest is closed.
 */
const MAX_STRANGERS = 63;

type PrivateConn = Deno.TcpConn | Deno.UnixConn;

class Rendezvous {
  readonly connect: ChildLink["connect"];
  readonly needs: ChannelNeeds;
  #listener: Deno.Listener<PrivateConn>;
  #folder: string | null;
  #expected = new Map<string, (conn: ChannelConn | null) => void>();
  #strangers = new Set<PrivateConn>();
  closed = false;
  #tidy = (): void => {
    if (this.#folder !== null) removeFolder(this.#folder);
  };

  constructor() {
    const inFolder = listenInFolder();
    if (inFolder !== null) {
      const { folder, path, listener } = inFolder;
      this.#folder = folder;
      this.#listener = listener;
      this.connect = { transport: "unix", path };
      const file: ChannelNeed = { item: path, similar: `${path}-` };
      const net = { item: `unix:${path}`, similar: `unix:${path}-` };
      this.needs = { read: file, write: file, net, env: ENV_NEED };
    } else {
      this.#folder = null;
      const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const { hostname, port } = listener.addr;
      this.#listener = listener;
      this.connect = { hostname, port };
      const net = { item: `${hostname}:${port}`, similar: hostname };
      this.needs = { net, env: ENV_NEED };
    }
    addEventListener("unload", this.#tidy);
    this.#accept();
  }

  expect(): ExpectedChild {
    const secret = crypto.randomUUID();
    const { promise, resolve } = Promise.withResolvers<ChannelConn | null>();
    this.#expected.set(secret, resolve);
    return {
      connect: this.connect,
      needs: this.needs,
      folder: this.#folder,
      secret,
      conn: promise,
      cancel: () => this.#settle(secret, null),
    };
  }

  async #accept(): Promise<void> {
    while (!this.closed) {
      try {
        this.#greet(await this.#listener.accept());
      } catch {
        if (this.closed) return;
        await new Promise((resolve) => setTimeout(resolve, RETRY_INTERVAL));
      }
    }
  }

  async #greet(conn: PrivateConn): Promise<void> {
    const [first] = this.#strangers;
    const most = MAX_STRANGERS + this.#expected.size;
    if (this.#strangers.size >= most) this.#dismiss(first!);
    this.#strangers.add(conn);
    let timer = setTimeout(() => {
      timer = setTimeout(() => this.#dismiss(conn), LAST_LOOK);
    }, GREETING_LIMIT);
    const secret = new Uint8Array(SECRET_LENGTH);
    let length = 0;
    try {
      while (length < SECRET_LENGTH) {
        const count = await conn.read(secret.subarray(length));
        if (count === null) break;
        length += count;
      }
    } catch {
      length = 0;
    }
    clearTimeout(timer);
    this.#strangers.delete(conn);
    // It is already closed if the last expected child has ended
    const known = this.#settle(new TextDecoder().decode(secret), conn);
    if (!known) conn[Symbol.dispose]();
    else if ("setNoDelay" in conn) conn.setNoDelay();
  }

  /** Closes a stranger's connection: its read fails and ends it. */
  #dismiss(conn: PrivateConn): void {
    if (this.#strangers.delete(conn)) conn.close();
  }

  #settle(secret: string, conn: ChannelConn | null): boolean {
    const resolve = this.#expected.get(secret);
    if (resolve === undefined) return false;
    this.#expected.delete(secret);
    resolve(conn);
    if (this.#expected.size === 0) this.#close();
    return true;
  }

  #close(): void {
    this.closed = true;
    this.#listener.close();
    for (const conn of this.#strangers) this.#dismiss(conn);
    removeEventListener("unload", this.#tidy);
    this.#tidy();
  }
}

/**
 * Listens in a folder that only this user can read, if there are Unix sockets
 * and a writable folder for temporary files whose path is short enough.
 */
function listenInFolder() {
  const names = ["read", "write", "net"] as const;
  const isAllowed = names.every((name) => isGranted({ name }));
  if (Deno.build.os === "windows" || !isAllowed) return null;
  let folder: string | undefined;
  try {
    folder = Deno.makeTempDirSync({ prefix: "deno-socketserver-" });
    // TMPDIR may be relative, and the working folder may change
    folder = Deno.realPathSync(folder);
    const path = `${folder}/s`;
    if (path.includes(",")) throw new TypeError("No flag can permit it");
    const listener = Deno.listen({ transport: "unix", path });
    return { folder, path, listener };
  } catch {
    // The loopback interface does as well
    if (folder !== undefined) removeFolder(folder);
    return null;
  }
}

function removeFolder(folder: string): void {
  try {
    Deno.removeSync(folder, { recursive: true });
  } catch {
    // Another program has removed the temporary files
  }
}

let rendezvous: Rendezvous | undefined;

/**
 * Expects a child. The socket exists only while children connect.
 *
 * @returns The expected child.
 */
export function expectChild(): ExpectedChild {
  if (rendezvous === undefined || rendezvous.closed) {
    rendezvous = new Rendezvous();
  }
  return rendezvous.expect();
}

/**
 * Reads "+ pid folder" and "- pid" until its input ends. The children that
 * there are, and the last one's folder, are arguments, so that none is missed.
 * Children get a second to end by themselves.
 */
const SHELL_SCRIPT = `trap '' HUP INT QUIT TERM TSTP
pids=" $1 " last=$2
while read -r op pid folder; do
  case $op in
    +) pids="$pids$pid "; last=$folder ;;
    -) pids="\${pids%% $pid *} \${pids#* $pid }" ;;
  esac
done
[ "\${pids# }" ] || exit 0
[ "$last" ] && rm -f "$last/s" && rmdir "$last"
sleep 1
for pid in $pids; do kill -9 "$pid"; done`;

/** The same without a shell. */
const DENO_SCRIPT =
  `for (const name of ["HUP", "INT", "QUIT", "TERM", "TSTP"]) {
  try { Deno.addSignalListener("SIG" + name, () => {}); } catch {}
}
const pids = new Set(Deno.args[0].split(" "));
let text = "", last = Deno.args[1];
for await (const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  const lines = (text + chunk).split("\\n");
  text = lines.pop();
  for (const line of lines) {
    const [, op, pid, folder] = /^(.) (\\d+) ?(.*)$/.exec(line);
    if (op === "-") pids.delete(pid);
    else pids.add(pid), last = folder;
  }
}
if (pids.size > 0) {
  try { if (last) Deno.removeSync(last, { recursive: true }); } catch {}
  await new Promise((resolve) => setTimeout(resolve, 1000));
  for (const pid of pids) try { Deno.kill(Number(pid), "SIGKILL"); } catch {}
}
Deno.exit();`;

const encoder = new TextEncoder();

/** A guard that ends sooner than this is not restarted at once. */
const RESTART_AFTER = 1_000;

interface Guard {
  process: Deno.ChildProcess;
  input: WritableStreamDefaultWriter<Uint8Array>;
}

let guard: Guard | undefined;
let restartTimer: ReturnType<typeof setTimeout> | undefined;
/** The children, each with the folder of the socket while it was started. */
const watched = new Map<number, string>();

/** The programs that can be a guard, the cheapest first. */
function commands(): [program: string, args: string[]][] {
  const url = `data:text/javascript,${encodeURIComponent(DENO_SCRIPT)}`;
  const flags = ["--no-prompt", "--quiet", "--no-config", "--no-lock"];
  const deno: [string, string[]] = [
    Deno.execPath(),
    ["run", ...flags, "--allow-run", "--allow-write", url],
  ];
  const shell = { name: "run", command: "sh" } as const;
  return Deno.build.os !== "windows" && isGranted(shell)
    ? [["sh", ["-c", SHELL_SCRIPT, "sh"]], deno]
    : [deno];
}

function tell(line: string): void {
  // A guard that has ended is replaced
  guard?.input.write(encoder.encode(line)).catch(() => {});
}

function spawn(args: string[]): Deno.ChildProcess | null {
  for (const [program, more] of commands()) {
    try {
      return new Deno.Command(program, {
        args: [...more, ...args],
        stdin: "piped",
        stdout: "null",
        stderr: "null",
        cwd: "/",
      }).spawn();
    } catch {
      // It is not there, for example in an image without a shell
    }
  }
  return null;
}

function startGuard(): void {
  clearTimeout(restartTimer);
  restartTimer = undefined;
  if (watched.size === 0) return;
  const [...pids] = watched.keys();
  const process = spawn([pids.join(" "), watched.get(pids.at(-1)!)!]);
  // Without it, the children notice the end of their channels all the same; the
  // next one may find a free descriptor for it
  if (process === null) return;
  process.unref();
  const started: Guard = { process, input: process.stdin.getWriter() };
  started.input.closed.catch(() => {});
  guard = started;
  const since = performance.now();
  void process.status.then(() => {
    if (guard !== started) return;
    guard = undefined;
    const left = RESTART_AFTER - (performance.now() - since);
    if (left <= 0) return startGuard();
    restartTimer = setTimeout(startGuard, left);
    Deno.unrefTimer(restartTimer);
  });
}

/**
 * Watches over a child.
 *
 * @param pid The child's process id.
 * @param folder The folder of the private socket, until the child has
 * connected.
 */
export function watchChild(pid: number, folder: string | null): void {
  watched.set(pid, folder ?? "");
  if (guard !== undefined) tell(`+ ${pid} ${folder ?? ""}\n`);
  else if (restartTimer === undefined) startGuard();
}

/**
 * Forgets a child that has ended.
 *
 * @param pid The child's process id.
 * @returns A promise that settles when the guard has ended, if this was the
 * last child.
 */
export async function forgetChild(pid: number): Promise<void> {
  watched.delete(pid);
  tell(`- ${pid}\n`);
  if (watched.size > 0) return;
  clearTimeout(restartTimer);
  restartTimer = undefined;
  if (guard === undefined) return;
  const { process, input } = guard;
  guard = undefined;
  process.ref();
  await input.close().catch(() => {});
  await process.status;
}
