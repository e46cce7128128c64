/**
 * One TCP port for a server and its replicas.
 *
 * @module
 */

import type { RunnerKind } from "../../workers/runner/runner.ts";
import type { OpenListener } from "../_internal.ts";
import type { Sharing } from "./plan.ts";
import type { ReplicaOptions } from "../options.ts";

const MAX_TRIES = 8;

/** Whether replicas may listen by themselves. */
export function canShare(
  kind: RunnerKind,
  address: Deno.Addr,
  options: ReplicaOptions,
): boolean {
  const { dispatch, permissions = "inherit", maxConnections } = options;
  if (address.transport !== "tcp" || permissions !== "inherit") return false;
  if (kind === "thread") return true;
  // With SO_REUSEPORT a client may wait for a full process beside an idle one
  return canReusePort() &&
    (dispatch === "shard" || (maxConnections ?? Infinity) === Infinity);
}

/**
 * Opens the server's listener so that replicas can join it. Neither way to
 * share tells whether a stranger joins, so the port is first taken alone.
 */
export function openShared(
  kind: RunnerKind,
  address: Deno.NetAddr,
  open: OpenListener,
): [listener: Deno.TcpListener, sharing: Sharing | null] {
  for (let tries = 1;; tries++) {
    const alone = open(address, {});
    const { port } = alone.addr as Deno.NetAddr;
    alone.close();
    try {
      return openAt({ ...address, port }, kind, open);
    } catch (error) {
      // Somebody was quicker; of the ports that are free there are others
      const another = address.port === 0 && tries < MAX_TRIES;
      if (!another || !(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

function openAt(
  address: Deno.NetAddr,
  kind: RunnerKind,
  open: OpenListener,
): [listener: Deno.TcpListener, sharing: Sharing | null] {
  if (kind === "thread") {
    const listener = open(address, { loadBalanced: true });
    if (isShared(address, open)) return [listener, "loadBalanced"];
    listener.close();
  }
  return canReusePort()
    ? [open(address, { reusePort: true }), "reusePort"]
    : [open(address, {}), null];
}

/** Whether this version of Deno still knows the undocumented option. */
function isShared(address: Deno.NetAddr, open: OpenListener): boolean {
  try {
    open(address, { loadBalanced: true }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}

/** Elsewhere than on Linux the system does not spread the connections. */
function canReusePort(): boolean {
  return Deno.build.os === "linux" && Deno.listenDatagram !== undefined;
}
