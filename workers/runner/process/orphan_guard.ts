/**
 * Kills the children that are left when this program is killed.
 *
 * A child notices by itself that its channel has ended, unless it never comes
 * back to its event loop. So a shell waits for its input to end, which is when
 * this program does, however it does.
 *
 * @module
 */

/**
 * Reads "+ pid" and "- pid" until its input ends. Children that end by
 * themselves get a second for that.
 */
const SCRIPT = `trap '' HUP INT QUIT TERM TSTP
pids=' '
while read -r op pid; do
  case $op in
    +) pids="$pids$pid " ;;
    -) pids="\${pids%% $pid *} \${pids#* $pid }" ;;
  esac
done
[ "\${pids# }" ] || exit 0
sleep 1
for pid in $pids; do kill -9 "$pid"; done`;

const encoder = new TextEncoder();

let shell: Deno.ChildProcess | undefined;
let input: WritableStreamDefaultWriter<Uint8Array> | undefined;
const watched = new Set<number>();

function mayRunShell(): boolean {
  return Deno.build.os !== "windows" &&
    Deno.permissions.querySync({ name: "run", command: "sh" }).state ===
      "granted";
}

function tell(line: string): void {
  // A shell that is gone takes nothing with it but this guard.
  input?.write(encoder.encode(line)).catch(() => {});
}

function startShell(): void {
  try {
    shell = new Deno.Command("sh", {
      args: ["-c", SCRIPT],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
  } catch {
    return;
  }
  shell.unref();
  input = shell.stdin.getWriter();
  input.closed.catch(() => {});
}

/**
 * Watches over a child.
 *
 * @param pid The child's process id.
 */
export function watchChild(pid: number): void {
  if (shell === undefined && mayRunShell()) startShell();
  watched.add(pid);
  tell(`+ ${pid}\n`);
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
  if (watched.size > 0 || shell === undefined) return;
  const [ending, writer] = [shell, input];
  shell = undefined;
  input = undefined;
  ending.ref();
  await writer?.close().catch(() => {});
  await ending.status;
}
