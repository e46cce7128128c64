/**
 * A replica's link to its parent.
 *
 * @module
 */

import type { ServerStats } from "../../handlers/request_types.ts";
import { PendingCalls } from "../../workers/line/pending.ts";
import type { RelayPort } from "../../workers/relay/port.ts";
import type { RunnerLine } from "../../workers/line/shared_line.ts";
import {
  type ErrorRecord,
  tellRecord,
  toErrorRecord,
} from "../../workers/line/dialect.ts";
import {
  core,
  type Numbered,
  type OpenListener,
  ServerRole,
} from "../_internal.ts";
import type { BaseServer } from "../base_server.ts";
import { disconnect } from "../core/request.ts";
import { COUNTS, lacksDescriptors } from "../core/faults.ts";
import type { Details, EventName } from "../core/telemetry.ts";
import { ServerClosedError } from "../errors.ts";
import type { PortSharing } from "./port_sharing.ts";
import {
  type FromReplica,
  MAX_LIST,
  type Question,
  type ReplicaEventName,
} from "./protocol.ts";

/** A replica's link to its parent, over the runner's messages. */
export class ParentLink extends ServerRole {
  override readonly bindsLater = true;
  override readonly sharesQueue: boolean;
  server: BaseServer | null = null;
  relay: RelayPort | null = null;
  /** Whether the parent has asked this replica to close. */
  isClosing = false;
  /** Whether others still listen on the port when this replica leaves it. */
  othersStay = false;
  /** Whether the whole server closes: it reports the requests it aborts. */
  isLast = false;
  #port: RunnerLine;
  #sharing: PortSharing;
  #lastId = 0;
  #ended: number[] = [];
  #durations: number[] = [];
  #endings: number[] = [];
  #isScheduled = false;
  #questions: PendingCalls<(answer: ServerStats | null) => void> =
    new PendingCalls();

  constructor(port: RunnerLine, sharing: PortSharing) {
    super();
    this.#port = port;
    this.#sharing = sharing;
    this.sharesQueue = sharing.sharesQueue;
  }

  override get silence(): number {
    return this.othersStay && !this.isLast ? this.#sharing.silence : 0;
  }

  override open(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    return this.#sharing.join(address, open);
  }

  override async shutdown(): Promise<void> {
    await this.#ask("shutdown");
  }

  override assertMay(what: string): void {
    if (this.isClosing) return;
    throw new TypeError(
      `Cannot ${what} a server from one of its replicas: do it where the server was constructed, or call shutdown()`,
    );
  }

  override async stats(): Promise<ServerStats> {
    this.tell(); // the parent counts the requests that have ended here
    return await this.#ask("stats") as ServerStats;
  }

  override opened(open: Numbered): Promise<void> | undefined {
    open.number = ++this.#lastId;
    const isBehind = this.#port.backlog > 0;
    // At once: the parent must know the requests that a crash would lose
    this.#post(["opened", open.number, open.clientAddress]);
    // If it does not read what this process sends, a handler must wait
    return isBehind ? this.#port.flushed() : undefined;
  }

  override closed(
    { number }: Numbered,
    duration: number | null,
    ending: number,
  ): void {
    this.#durations.push(duration ?? -1);
    this.#endings.push(ending);
    this.#ended.push(number);
    this.changed();
  }

  override cut({ relayed, number }: Numbered): void {
    if (relayed) this.relay!.wasCut(number);
    else this.#post(["cut", number]);
  }

  override left(): void {
    this.#post(["done"]);
  }

  override aborted(clientAddresses: Deno.Addr[]): void {
    if (this.isLast) return;
    const server = this.server!;
    const error = new ServerClosedError(
      `The request was aborted: its replica was replaced, and waited ${server.shutdownTimeout} ms`,
    );
    for (const clientAddress of clientAddresses) {
      void server[core].cycle.report(error, null, clientAddress);
    }
  }

  override tellCounts(): void {
    if (this.#isScheduled) this.tell();
  }

  override changed(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // Together with others of this turn, but not later: the replica may end
    setImmediate(this.#onTurn);
  }

  /** Sends the ended requests and the counts now. */
  tell(): void {
    const { counts } = this.server![core].cycle;
    do {
      this.#post([
        "ended",
        this.#ended.splice(0, MAX_LIST),
        COUNTS.map((name) => counts[name]),
        this.#durations.splice(0, MAX_LIST),
        this.#endings.splice(0, MAX_LIST),
      ]);
    } while (this.#ended.length > 0);
  }

  /** Sends only the events of these names from now on. */
  forward(names: readonly EventName[]): void {
    this.server![core].telemetry.forward(names, (name, details) => {
      const { error, ...rest } = details as Details<"error">;
      this.tellCounts(); // who gets the event may look at them
      const post = (more: { error?: ErrorRecord }) =>
        this.#post(["event", name as ReplicaEventName, { ...rest, ...more }]);
      if (name !== "error") return post({});
      tellRecord((error) => post({ error }), recordOf(error));
    });
  }

  /** Ends a request of this number, if it has not ended. */
  cutOff(sought: number, isRelayed: boolean): void {
    const { open } = this.server![core].cycle;
    disconnect(
      open.list().find(({ relayed, number }) =>
        relayed === isRelayed && number === sought
      ),
    );
  }

  /** Handles the answer to a question. */
  answer(id: number, value: ServerStats | null): void {
    this.#questions.take(id)(value);
  }

  #onTurn = (): void => {
    this.#isScheduled = false;
    this.tell();
  };

  #post(message: FromReplica): void {
    this.#port.post(message);
  }

  #ask(question: Question): Promise<ServerStats | null> {
    return new Promise((resolve) => {
      this.#post(["ask", this.#questions.add(resolve), question]);
    });
  }
}

function recordOf(error: unknown): ErrorRecord {
  // Formatting its stack would end the program
  if (lacksDescriptors(error)) return { name: "Error", message: String(error) };
  return toErrorRecord(error);
}
