/**
 * Kills the children that are left when this program is killed, and removes
 * the private socket at which they were to come in.
 *
 * A child notices by itself that its channel has ended, unless it never comes
 * back to its event loop. So another process waits for its input to end, which
 * is when this program does, however it does.
 *
 * @module
 */

/**
 * Reads "+ pid folder" and "- pid" until its input ends; the first child and
 * its folder are arguments, which no end can come in between. Children that end by
 * themselves get a second for that.
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

/** The same for where no shell may be run, or none is there. */
const DENO_SCRIPT =
  `for (const name of ["HUP", "INT", "QUIT", "TERM", "TSTP"]) {
  try { Deno.addSignalListener("SIG" + name, () => {}); } catch {}
}
const pids = new Set([Deno.args[0]]);
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

let guard: Deno.ChildProcess | undefined;
let input: WritableStreamDefaultWriter<Uint8Array> | undefined;
const watched = new Set<number>();

function mayRunShell(): boolean {
  return Deno.build.os !== "windows" &&
    Deno.permissions.querySync({ name: "run", command: "sh" }).state ===
      "granted";
}

function command(): [program: string, args: string[]] {
  if (mayRunShell()) return ["sh", ["-c", SHELL_SCRIPT, "sh"]];
  const url = `data:text/javascript,${encodeURIComponent(DENO_SCRIPT)}`;
  const flags = ["--no-prompt", "--quiet", "--no-config", "--no-lock"];
  return [
    Deno.execPath(),
    ["run", ...flags, "--allow-run", "--allow-write", url],
  ];
}

function tell(line: string): void {
  // A guard that is gone takes nothing with it but itself
  input?.write(encoder.encode(line)).catch(() => {});
}

function startGuard(pid: number, folder: string): void {
  const [program, args] = command();
  try {
    guard = new Deno.Command(program, {
      args: [...args, `${pid}`, folder],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
  } catch {
    return;
  }
  guard.unref();
  input = guard.stdin.getWriter();
  input.closed.catch(() => {});
}

/**
 * Watches over a child.
 *
 * @param pid The child's process id.
 * @param folder Where the private socket is, while the child comes in.
 */
export function watchChild(pid: number, folder: string | null): void {
  watched.add(pid);
  if (guard === undefined) startGuard(pid, folder ?? "");
  else tell(`+ ${pid} ${folder ?? ""}\n`);
}

/**
 * Forgets a child that has ended.
 *
 * @param pid The child's process id.
 * @returns A promise that settles when nothing is left of the guard, if this
 * was the last child.
 */
export async function forgetChild(pid: number): Promise<void> {
  if (!watched.delete(pid)) return;
  tell(`- ${pid}\n`);
  if (watched.size > 0 || guard === undefined) return;
  const [ending, writer] = [guard, input];
  guard = undefined;
  input = undefined;
  ending.ref();
  await writer?.close().catch(() => {});
  await ending.status;
}
