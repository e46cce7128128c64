/** A server of a relative path in a program that changes its working directory. */
// deno-lint-ignore-file no-console

import {
  EchoHandler,
  UnixDatagramServer,
  UnixStreamServer,
} from "../../mod.ts";

const [name, folder] = Deno.args;
const Server = name === "UnixStreamServer"
  ? UnixStreamServer
  : UnixDatagramServer;

function has(file: string): boolean {
  return [...Deno.readDirSync(folder!)].some(({ name }) => name === file);
}

Deno.chdir(folder!);
const server = new Server({ path: "relative" }, EchoHandler);
const bound = has("relative");
Deno.chdir("/");
await server.serverClose();
console.log(`bound ${bound}, left ${has("relative")}`);
