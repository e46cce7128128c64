/** Uses a pool and never shuts it down. */
// deno-lint-ignore-file no-console
import { ProcessPool, ThreadPool } from "../../workers/pool/pool.ts";
import { addLater } from "./tasks.ts";

const Class = Deno.args[0] === "thread" ? ThreadPool : ProcessPool;
const module = new URL("./tasks.ts", import.meta.url);
const pool = new Class({ module, workers: 2 });
if (Deno.args[1] !== "unused") {
  await Promise.all([pool.submit(addLater, 1, 2), pool.submit(addLater, 3, 4)]);
  // Nobody awaits these, and the program waits for them all the same.
  for (let index = 0; index < 20; index++) {
    pool.submit("napAndTellPid", 20).then(() => console.log("done"));
  }
}
