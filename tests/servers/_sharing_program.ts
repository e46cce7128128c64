/** Asks for shards, as a program without `--unstable-net`; prints the error. */
// deno-lint-ignore-file no-console

import {
  EchoHandler,
  ForkingTCPServer,
  ThreadingTCPServer,
} from "../../mod.ts";
import { tls } from "./_certificates.ts";

for (const Server of [ThreadingTCPServer, ForkingTCPServer]) {
  try {
    const options = { ...tls, dispatch: "shard" } as const;
    await new Server({ port: 0 }, EchoHandler, options).serverClose();
    console.log("no error");
  } catch (error) {
    console.log((error as Error).message);
  }
}
