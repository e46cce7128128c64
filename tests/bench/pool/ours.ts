/** A ThreadPool under load. */
import { ThreadPool } from "../../../workers/pool/pool.ts";
import { drive } from "./drive.mjs";

const pool = new ThreadPool({
  module: new URL("./tasks.mjs", import.meta.url),
  workers: Number(Deno.args[0]),
});

await drive((name: string, argument: unknown, transfer?: Transferable[]) =>
  transfer === undefined
    ? pool.submit(name, argument)
    : pool.run(name, [argument], { transfer })
);
