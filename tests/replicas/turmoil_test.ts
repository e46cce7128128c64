/** Full service after turmoil, and none lost where none need be. */

import { assert, assertEquals } from "@std/assert";
import { modeOf, test, testEach } from "./_support.ts";
import { roll } from "./_rolling.ts";
import { stampede } from "./_stampede.ts";

const STAMPEDE_MS = 500;
/** Of a thousand connections, where each replica has a queue of its own. */
const MOST_LOST = 100;

testEach(
  [
    "ThreadingTCPServer by shard",
    "ForkingTCPServer by shard",
    "ForkingTCPServer by relay",
  ].map(modeOf),
  "is in full service after replicas were killed at random",
  async (mode) => {
    await stampede(mode, STAMPEDE_MS);
  },
);

testEach(
  [
    "ThreadingTCPServer by shard",
    "ThreadingTCPServer by relay",
    "ForkingUnixStreamServer by relay",
  ].map(modeOf),
  "loses none of 1,000 connections while all replicas are replaced",
  async (mode) => {
    const { served, lost, rounds } = await roll(mode, 1_000);
    assertEquals(lost, []);
    assert(served >= 1_000);
    assert(rounds >= 1);
  },
);

test("ForkingTCPServer by shard loses few of 1,000 connections while all replicas are replaced", async () => {
  const mode = modeOf("ForkingTCPServer by shard");
  // So long a child waits for a quiet moment to leave its port, and finds none
  const options = { shutdownTimeout: 1_500 };
  const { lost, rounds } = await roll(mode, 1_000, options);
  // deno-lint-ignore no-console
  console.log(`SO_REUSEPORT: ${lost.length} lost in ${rounds} rounds`);
  assert(rounds >= 1);
  assert(lost.length <= MOST_LOST, `${lost.length} were lost`);
});
