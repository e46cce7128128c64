/**
 * What runs in a replica: a whole server of the same class, that accepts on the
 * shared port, serves what is relayed to it, or both.
 *
 * @module
 */

import type { ServerStats } from "../../handlers/request_server.ts";
import { RelayPort } from "../../workers/relay/relay_port.ts";
import { Rpc } from "../../workers/runner/rpc.ts";
import type { RunnerPort } from "../../workers/runner/runner.ts";
import { unpack } from "../../workers/codec/share.ts";
import { resolve } from "./class_ref.ts";
import { ReplicaParentLink, withParentLink } from "./parent_link.ts";
import { core } from "../_internal.ts";
import { RelayedSocket } from "./relayed_socket.ts";
import type { ReplicaPlan } from "./plan.ts";
import type { BaseServer } from "../base_server.ts";
import type { DrainReport } from "../drain_report.ts";

/** What a replica tells when it has closed. */
export interface ReplicaReport {
  report: DrainReport;
  stats: ServerStats;
}

type ServerClass = new (
  address: Deno.Addr,
  RequestHandlerClass: unknown,
  options: Record<string, unknown>,
) => BaseServer;

/** Runs a replica. */
export function main(
  port: RunnerPort,
  modules: Record<string, unknown>[],
  data: unknown,
): void {
  const plan = data as ReplicaPlan;
  const rpc: Rpc = new Rpc((message) => port.post(message), {
    ping: () => {},
    resume: () => resume(),
    pause: (leaves) => pausing = pause(leaves as boolean),
    drain: () => server[core].drain(),
    stats: () => {
      parentLink.tellClosed();
      return server[core].stats();
    },
    close: (timeout) => close(timeout as number),
    leave: () => port.close(),
  });
  // To stop a service, systemd and others signal all its processes at once:
  // what is open here is to end first
  if (port.kind === "process" && Deno.build.os !== "windows") {
    Deno.addSignalListener("SIGTERM", () => rpc.tell("leaving"));
  }
  const parentLink = new ReplicaParentLink(rpc, plan.sharing);
  const server = construct(plan, modules, parentLink);
  const relay = new RelayPort(port, {
    connection: (conn) => server[core].serve(conn, conn.remoteAddr),
    packet: (packet, from, truncated, reply) => {
      const socket = new RelayedSocket(plan.address, from, reply);
      return server[core].serve({ packet, socket, truncated }, from);
    },
  });

  let serving = false;
  let pausing: Promise<void> | null = null;

  async function resume(): Promise<void> {
    await pausing;
    if (serving) return;
    serving = true;
    server[core].join();
    serve(server);
  }

  async function pause(leaves: boolean): Promise<void> {
    await server[core].endServing();
    serving = false;
    if (leaves) await server[core].leave();
  }

  async function close(timeout: number): Promise<ReplicaReport> {
    await pausing;
    await relay.begun();
    server.shutdownTimeout = timeout;
    const report = await server.serverClose();
    parentLink.tellClosed();
    relay.flush();
    return { report, stats: server[core].stats() };
  }

  port.onmessage = (message) => {
    if (message instanceof Uint8Array) relay.receive(message);
    else rpc.receive(message);
  };
}

function construct(
  plan: ReplicaPlan,
  [serverModule, handlerModule]: Record<string, unknown>[],
  parentLink: ReplicaParentLink,
): BaseServer {
  const Server = resolve(plan.server, serverModule!) as ServerClass;
  const Handler = resolve(plan.handler, handlerModule!);
  const { address, options } = plan;
  const context = unpack(plan.context);
  return withParentLink(
    parentLink,
    () => new Server(address, Handler, { ...options, context }),
  );
}

function serve(server: BaseServer): void {
  server.serveForever().catch((error) => {
    // A listener that broke ends the replica: another takes its place
    queueMicrotask(() => {
      throw error;
    });
  });
}
