/**
 * A server in a program of its own, told by its first argument how to be. It
 * says what it does line by line, and does what it reads.
 */
// deno-lint-ignore-file no-console

import type { BaseServer, ReplicaOptions } from "../../mod.ts";
import { Deadly } from "./handlers_fixture.ts";
import { allReady, modeOf } from "./_support.ts";

/** What the argument says. */
export interface ServerPlan {
  mode: string;
  options?: ReplicaOptions;
}

const { mode, options }: ServerPlan = JSON.parse(Deno.args[0]!);
const server = modeOf(mode).open(Deadly, options);
server.handleError = (error) => {
  console.log(`error ${(error as Error).name}: ${(error as Error).message}`);
};
const { serverAddress } = server as unknown as BaseServer;
console.log(JSON.stringify(serverAddress));
Deno.addSignalListener("SIGHUP", async () => {
  console.log("reloading");
  await server.reload();
  console.log("reloaded");
});
const served = server.serveForever({ signals: ["SIGTERM"] });
await allReady(server);
console.log(JSON.stringify(await server.stats()));
await served;
console.log("served");
const report = await server.serverClose();
console.log(JSON.stringify(report));
console.log(JSON.stringify(await server.stats()));
// A thread in an endless loop would hold the end of the program up
Deno.exit(0);
