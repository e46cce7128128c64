/**
 * What isolate is compared with: for each connection a bare `Worker` or `deno
 * run`, no more at once than there are cores: `start_loop.ts thread|process
 * PORT`.
 *
 * @module
 */
// deno-lint-ignore-file no-console

const [kind, port] = Deno.args;

async function startThread() {
  const url = "data:application/javascript,postMessage(1)";
  const worker = new Worker(url, { type: "module" });
  await new Promise((resolve) => worker.onmessage = resolve);
  worker.terminate();
}

async function startProcess() {
  const url = "data:application/javascript,console.log(1)";
  const args = ["run", "-A", "--quiet", "--no-prompt", url];
  await new Deno.Command(Deno.execPath(), { args }).output();
}

let free = navigator.hardwareConcurrency;
const waiting: (() => void)[] = [];

async function serve(connection: Deno.Conn) {
  if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve));
  else free--;
  await (kind === "thread" ? startThread() : startProcess());
  const next = waiting.shift();
  if (next === undefined) free++;
  else next();
  const buffer = new Uint8Array(65_536);
  const n = await connection.read(buffer);
  await connection.write(buffer.subarray(0, n ?? 0));
  connection.close();
}

const listener = Deno.listen({ hostname: "127.0.0.1", port: Number(port) });
console.log("ready");
for await (const connection of listener) serve(connection).catch(() => {});
