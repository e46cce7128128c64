/** Starts three processes, and looks for what is left in its temporary folder. */
// deno-lint-ignore-file no-console
import { startRunner } from "../../../workers/runner/supervisor.ts";

const [folder] = Deno.args as [string];
// TMPDIR may be relative to it
Deno.chdir(folder);

function list(): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => `${folder}/${name}`);
}

const main = new URL("../obedient_main.ts", import.meta.url).href;
const runners = Array.from({ length: 3 }, () => {
  const runner = startRunner("process", { main });
  Deno.chdir("/");
  return runner;
});
const mode = Deno.statSync(list()[0]!).mode! & 0o777;
runners[0]!.kill();
await Promise.all(runners.slice(1).map((runner) => runner.ready));
for (const runner of runners) runner.kill();
await Promise.all(runners.map((runner) => runner.exited));
console.log(`${mode.toString(8)}, left: ${list().length}`);
