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

import { isGranted } from "./permissions.ts";

/**
 * Reads "+ pid folder" and "- pid" until its input ends. The first child and
 * its folder are arguments, so that none is missed. Children get a second to
 * end by themselves.
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

let guard: {
  process: Deno.ChildProcess;
  input: WritableStreamDefaultWriter<Uint8Array>;
} | undefined;
const watched = new Set<number>();

function command(): [program: string, args: string[]] {
  const shell = { name: "run", command: "sh" } as const;
  if (Deno.build.os !== "windows" && isGranted(shell)) {
    return ["sh", ["-c", SHELL_SCRIPT, "sh"]];
  }
  const url = `data:text/javascript,${encodeURIComponent(DENO_SCRIPT)}`;
  const flags = ["--no-prompt", "--quiet", "--no-config", "--no-lock"];
  return [
    Deno.execPath(),
    ["run", ...flags, "--allow-run", "--allow-write", url],
  ];
}

function tell(line: string): void {
  // A guard that has ended does no harm
  guard?.input.write(encoder.encode(line)).catch(() => {});
}

function startGuard(pid: number, folder: string): void {
  const [program, args] = command();
  try {
    const process = new Deno.Command(program, {
      args: [...args, `${pid}`, folder],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    process.unref();
    guard = { process, input: process.stdin.getWriter() };
    guard.input.closed.catch(() => {});
  } catch {
    // The children notice the end of their channels all the same
  }
}

/**
 * Watches over a child.
 *
 * @param pid The child's process id.
 * @param folder The folder of the private socket, until the child has
 * connected.
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
 * @returns A promise that settles when the guard has ended, if this was the
 * last child.
 */
export async function forgetChild(pid: number): Promise<void> {
  watched.delete(pid);
  tell(`- ${pid}\n`);
  if (watched.size > 0 || guard === undefined) return;
  const { process, input } = guard;
  guard = undefined;
  process.ref();
  await input.close().catch(() => {});
  await process.status;
}
