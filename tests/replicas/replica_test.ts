/** A replica as its server sees it, without a server. */

import { assertEquals } from "@std/assert";
import type { BaseServer } from "../../server/base_server.ts";
import { Replica, type ReplicaOwner } from "../../server/replicas/replica.ts";
import type { RunnerExit } from "../../workers/base/errors.ts";
import { Op } from "../../workers/relay/frames.ts";
import {
  type Line,
  MemoryLine,
  newRelayMemory,
} from "../../workers/line/shared_line.ts";
import { RelayLink } from "../../workers/relay/flow.ts";
import type { Runner } from "../../workers/runner/runner.ts";
import { CLIENT } from "./_relay_pair.ts";

const NOWHERE: Line = { onmessage: null, post: () => {} };

Deno.test("Replica has taken what its thread wrote when it reports its end", async () => {
  const memory = newRelayMemory();
  const { promise: exited, resolve: exit } = Promise.withResolvers<
    RunnerExit
  >();
  const runner = {
    ...NOWHERE,
    kind: "thread",
    ready: Promise.resolve(),
    exited,
  };
  const ended = Promise.withResolvers<number>();
  const owner: ReplicaOwner = {
    server: { shutdownTimeout: 0 } as BaseServer,
    options: {},
    stallTimeout: 1_000,
    othersStay: true,
    stats: (own) => own,
    finished: () => {},
    wasCut: () => {},
    observed: () => {},
    exceeded: () => {},
    leaving: () => {},
    ended: ({ load }) => ended.resolve(load),
  };
  const replica = new Replica(1, runner as unknown as Runner, memory, owner);
  const send = () => Promise.resolve(1);
  const packet = new Uint8Array(1);
  const relayed = replica.relay.relayPacket(packet, CLIENT, false, send);
  const { toRunner, fromRunner } = memory;
  const line = new MemoryLine({ ...NOWHERE }, toRunner, fromRunner, () => {});
  const link = new RelayLink((message) => line.post(message));
  link.send(Op.began, 1);
  link.send(Op.done, 1);
  link.flush();
  // It dies before the server's event loop turns
  exit({ code: 1, reason: "terminated" });
  assertEquals(await ended.promise, 0);
  await relayed;
  line.stop();
});
