/**
 * Kills the remaining children when this program is killed, and removes their
 * private socket.
 *
 * A child notices the end of its channel, unless it never returns to its event
 * loop. So a guard process waits for the end of its input, which comes when
 * this program ends in any way.
 *
 * @module
 */

import { isGranted } from "./launch.ts";

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
  if (watched.size === 0) return;
  const [...pids] = watched.keys();
  const process = spawn([pids.join(" "), watched.get(pids.at(-1)!)!]);
  // Without it, the children notice the end of their channels all the same
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
  else if (watched.size === 1) startGuard();
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
  if (guard === undefined) return;
  const { process, input } = guard;
  guard = undefined;
  process.ref();
  await input.close().catch(() => {});
  await process.status;
}
