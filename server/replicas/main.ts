/**
 * The program of a replica: a whole server of the same class. It accepts on the
 * shared port, serves relayed requests, or both.
 *
 * @module
 */

import type { DatagramSocket } from "../../handlers/request_types.ts";
import { unpack } from "../../workers/codec/share.ts";
import { ModuleImportError } from "../../workers/base/errors.ts";
import { watchProgress } from "../../workers/base/progress.ts";
import { isPacketAddress, isSameAddress } from "../../workers/relay/frames.ts";
import { MemoryLine, type RunnerLine } from "../../workers/line/shared_line.ts";
import { context } from "../../workers/runner/context.ts";
import { RelayPort, type Reply } from "../../workers/relay/port.ts";
import { imports } from "../../workers/runner/context.ts";
import type { RunnerKind, RunnerPort } from "../../workers/runner/runner.ts";
import { core, settings } from "../_internal.ts";
import type { BaseServer } from "../base_server.ts";
import { isOption } from "../core/check_options.ts";
import { maxPayload, packetTooLong } from "../sockets/packet_socket.ts";
import { ParentLink } from "./parent_link.ts";
import { constructReplica } from "./plan.ts";
import { sharingOf } from "./port_sharing.ts";
import {
  type Boot,
  type ClassRef,
  type Command,
  CUT_OFF_AFTER_MS,
  decodeToReplica,
  type FromReplica,
  outOfOrder,
} from "./protocol.ts";

type Modules = Record<string, unknown>[];
type ServerClass = new (
  address: Deno.Addr,
  RequestHandlerClass: unknown,
  options: Record<string, unknown>,
) => BaseServer;

/** The system takes a write of this size as a whole, or later. */
const SURE_BYTES = 4_096;

/** The entry of a runner: runs a replica until it may leave. */
export function main(
  port: RunnerPort,
  modules: Modules,
  data: unknown,
): Promise<void> {
  const { memory, thread } = data as Boot;
  if (thread !== null) {
    const { ident, name, lastIdent } = thread;
    context.isMain = false;
    context.lastIdent = lastIdent;
    context.identity = { ident, name, daemon: false, args: [], fields: {} };
  }
  watchProgress(
    memory?.progress ?? (() => {
      port.post(["working"]);
      // Others may compute for long before the end of this task. What the
      // system would take in part only would end the line
      if (port.backlog < SURE_BYTES) port.sendNow();
    }),
  );
  // To stop a service, systemd and others signal all its processes at once.
  // Open requests must end first
  if (port.kind === "process" && Deno.build.os !== "windows") {
    Deno.addSignalListener("SIGTERM", () => port.post(["leaving"]));
  }
  return runReplica(port, modules, data as Boot);
}

/**
 * Runs a replica.
 *
 * @returns Rejects when it can't go on; never resolves: the port is closed.
 */
export function runReplica(
  port: RunnerPort,
  modules: Modules,
  boot: Boot,
): Promise<void> {
  const { promise, reject } = Promise.withResolvers<void>();
  const { memory } = boot;
  const line = memory === null
    ? port
    : new MemoryLine(port, memory.toRunner, memory.fromRunner, reject);
  const side = new ReplicaSide(port, line, modules, boot, reject);
  line.onmessage = (message) => side.receive(message);
  return promise;
}

class ReplicaSide {
  #port: RunnerPort;
  #line: RunnerLine;
  #fail: (error: unknown) => void;
  #link: ParentLink;
  #server: BaseServer;
  #relay: RelayPort;
  #underWay: Command[0] | null = null;
  #isServing = false;

  constructor(
    port: RunnerPort,
    line: RunnerLine,
    modules: Modules,
    boot: Boot,
    fail: (error: unknown) => void,
  ) {
    this.#port = port;
    this.#line = line;
    this.#fail = fail;
    this.#link = new ParentLink(line, sharingOf(boot.sharing));
    this.#server = construct(boot, modules, this.#link);
    this.#link.forward([]);
    this.#relay = this.#link.relay = new RelayPort(
      line,
      {
        connection: (conn, id) =>
          this.#server[core].cycle.serveAccepted(conn, conn.remoteAddr, id),
        packet: (packet, from, truncated, reply, id) => {
          const socket = new RelayedSocket(boot.address, from, reply);
          return this.#server[core].cycle.serveAccepted(
            { packet, socket, truncated },
            from,
            id,
          );
        },
        cutOff: (id) => this.#link.cutOff(id, true),
      },
      boot.memory?.begun ?? null,
    );
  }

  receive(data: unknown): void {
    const message = decodeToReplica(data);
    if (message instanceof Uint8Array) return this.#relay.receive(message);
    switch (message[0]) {
      case "resume":
      case "pause":
      case "leave":
      case "close":
        return this.#relay.afterArrived(() =>
          void this.#obey(message).catch(this.#fail)
        );
      case "drain":
        this.#link.isLast = true;
        return this.#drain(performance.now() + message[1]);
      case "alone":
        return this.#relay.afterArrived(() => {
          this.#link.othersStay = false;
        });
      case "limits":
        return this.#server[core].setLimits(message[1]);
      case "certificate":
        Object.assign(this.#server[settings], message[1]);
        return;
      case "watch":
        return this.#link.forward(message[1]);
      case "ping":
        return this.#post(["pong", usedMemory(this.#port.kind)]);
      case "disconnect":
        return this.#link.cutOff(message[1], false);
      case "answer":
        return this.#link.answer(message[1], message[2]);
    }
  }

  #post(message: FromReplica): void {
    this.#line.post(message);
  }

  async #obey(command: Command): Promise<void> {
    if (this.#underWay !== null) throw outOfOrder(command[0]);
    this.#underWay = command[0];
    if (command[0] === "close") return await this.#close(command[1]);
    if (command[0] === "leave") this.#link.othersStay = command[1];
    if (command[0] === "resume") await this.#resume();
    else await this.#pause();
    if (command[0] === "leave") await this.#server[core].listening.leave();
    this.#underWay = null;
    this.#post(["done"]);
  }

  #drain(deadline: number): void {
    const { cycle, listening } = this.#server[core];
    this.#relay.afterArrived(() => cycle.drain(deadline));
    listening.hasten(deadline + CUT_OFF_AFTER_MS);
  }

  async #resume(): Promise<void> {
    if (this.#isServing) throw outOfOrder("resume");
    this.#isServing = true;
    const { listening } = this.#server[core];
    listening.bind();
    // A broken listener ends the replica: another takes its place
    this.#server.serveForever().catch(this.#fail);
    // The server may leave the port to those that listen
    await listening.activation;
  }

  async #pause(): Promise<void> {
    await this.#server[core].endServing();
    this.#isServing = false;
  }

  async #close(timeout: number): Promise<void> {
    await this.#relay.begun();
    this.#server[settings].shutdownTimeout = Math.round(timeout);
    this.#link.isClosing = this.#link.othersStay = true;
    await this.#server.serverClose();
    this.#link.tell();
    this.#relay.flush();
    this.#post(["closed"]);
    this.#port.close();
  }
}

function construct(
  { server, handler, address, options, context }: Boot,
  [serverModule, handlerModule]: Modules,
  parentLink: ParentLink,
): BaseServer {
  const Server = resolve(server, serverModule!) as ServerClass;
  const Handler = resolve(handler, handlerModule!);
  const given = { ...options, context: unpack(context) };
  imports.begin();
  try {
    return parentLink.server = constructReplica(
      parentLink,
      () => new Server(address, Handler, knownOnly(given)),
    );
  } catch (cause) {
    throw new ModuleImportError(
      `Cannot construct class "${server.name}" in a replica: ${
        (cause as Error).message
      }; a replica calls its constructor with (address, RequestHandlerClass, options): take these three, and read everything else from the option "context"`,
      server.module,
      { cause },
    );
  }
}

/**
 * Options whose unknown members throw when they are read. A user's constructor
 * may take options of its own; the parent does not send those.
 */
function knownOnly(options: Record<string, unknown>): typeof options {
  return new Proxy(options, {
    get(target, name) {
      const isKnown = typeof name === "symbol" || name in target ||
        name === "toJSON" || name === "then" || isOption(name);
      if (isKnown) {
        return Reflect.get(target, name);
      }
      throw new TypeError(
        `option "${name}" does not arrive there; put its value into the option "context"`,
      );
    },
  });
}

/** Sends packets through the server that owns the socket. */
export class RelayedSocket implements DatagramSocket {
  readonly addr: Deno.Addr;
  #client: Deno.Addr;
  #reply: Reply;

  constructor(addr: Deno.Addr, client: Deno.Addr, reply: Reply) {
    this.addr = addr;
    this.#client = client;
    this.#reply = reply;
  }

  // deno-lint-ignore require-await -- errors must reject
  async send(packet: Uint8Array, address: Deno.Addr): Promise<number> {
    if (!(packet instanceof Uint8Array)) {
      throw new TypeError("Cannot send a packet: expected a Uint8Array");
    }
    if (!isPacketAddress(address)) {
      throw new TypeError(
        `Cannot send a packet to ${
          Deno.inspect(address)
        }: expected an address, such as "clientAddress"`,
      );
    }
    const limit = maxPayload(address);
    if (packet.length > limit) throw packetTooLong(packet.length, limit);
    const isAnswer = isSameAddress(address, this.#client);
    return this.#reply(packet, isAnswer ? null : address);
  }
}

/**
 * Finds a class in its module.
 *
 * @param ref The class's name.
 * @param exported What its module exports.
 * @throws {ModuleImportError} If it exports no such class.
 */
export function resolve(
  ref: ClassRef,
  exported: Record<string, unknown>,
): unknown {
  const found = typeof exported[ref.name] === "function"
    ? exported[ref.name]
    : Object.values(exported).find((value) =>
      typeof value === "function" && value.name === ref.name
    );
  if (found !== undefined) return found;
  throw new ModuleImportError(
    `Cannot run class "${ref.name}" in a replica: "${ref.module}" exports no class of that name; write "export class ${ref.name}"`,
    ref.module,
  );
}

/** The memory of this replica in bytes: of the process, or of the isolate. */
function usedMemory(kind: RunnerKind): number {
  const { rss, heapTotal, external } = Deno.memoryUsage();
  return kind === "process" ? rss : heapTotal + external;
}
