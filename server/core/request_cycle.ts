/**
 * The path of a request from its acceptance to its end.
 *
 * @module
 */

import type { BaseRequestHandler } from "../../handlers/base_request_handler.ts";
import { RunnerExitError } from "../../workers/base/errors.ts";
import { Ending } from "../../workers/base/progress.ts";
import { printable } from "../../handlers/_internal.ts";
import {
  closeAnyhow,
  closeQuietly,
  Counts,
  EntranceError,
  isOfAbort,
  isShortage,
  noteAcceptError,
  printError,
  readable,
} from "./faults.ts";
import {
  cutOff,
  disconnect,
  type OpenRequest,
  OpenRequests,
} from "./request.ts";
import { role, type ServerRole } from "../_internal.ts";
import type { DrainReport, ServerLimits } from "../options.ts";
import { Admission, Entrance } from "./entrance.ts";
import { Deadlines } from "./deadlines.ts";
import { Lingering } from "./lingering.ts";
import { RequestMeter, type Telemetry } from "./telemetry.ts";

/** The hooks that a request goes through, and the listeners of its events. */
export interface CycleHooks<R> {
  [role]: ServerRole;
  verifyRequest(
    request: R,
    clientAddress: Deno.Addr,
  ): boolean | Promise<boolean>;
  processRequest(request: R, clientAddress: Deno.Addr): Promise<void>;
  shutdownRequest(request: R): void | Promise<void>;
  serviceActions(): void | Promise<void>;
  handleError(
    error: unknown,
    request: R | null,
    clientAddress: Deno.Addr | null,
  ): void | Promise<void>;
}

function endingOf({ failed, aborted, lost }: OpenRequest): number {
  return (failed ? Ending.failed : 0) + (aborted ? Ending.aborted : 0) +
    (lost ? Ending.unmade : 0);
}

/**
 * Takes requests through the hooks. An error of a hook affects only its
 * request.
 */
export class RequestCycle<R> {
  readonly open: OpenRequests<R> = new OpenRequests();
  readonly counts: Counts = new Counts();
  readonly lingering: Lingering = new Lingering();
  /** How requests ended since the close began; `null` before it. */
  drained: DrainReport | null = null;
  readonly meter: RequestMeter;
  readonly entrance: Entrance = new Entrance();
  readonly deadlines: Deadlines = new Deadlines(
    this.open as OpenRequests<unknown>,
    (open, error) => {
      if (!open.relayed) this.addEnd(open.clientAddress, Ending.aborted);
      this.#hooks[role].cut(open);
      void this.report(error, open.request as R, open.clientAddress);
    },
  );
  /** Whether a user's hook gets addresses: then they are made to print. */
  printsAddresses = false;
  /** Whether new requests are refused. */
  refuses = false;
  #hooks: CycleHooks<R>;
  #telemetry: Telemetry;
  #ended: () => void;

  /** `ended` is called after each request. */
  constructor(hooks: CycleHooks<R>, telemetry: Telemetry, ended: () => void) {
    this.#hooks = hooks;
    this.#telemetry = telemetry;
    this.meter = new RequestMeter(telemetry);
    this.#ended = ended;
  }

  /** Whether requests over the limit are accepted and refused. */
  get refusesOverLimit(): boolean {
    return this.entrance.admission?.overLimit === "refuse";
  }

  /** Serves a request that was accepted here, `now`. */
  async serve(request: R, peer: Deno.Addr, now: number): Promise<void> {
    this.counts.accepted++;
    const open = this.open.add(request, peer, false);
    let part: ServerRole | null = null;
    try {
      if (this.refuses) return this.#refuse(open, "suspend");
      if (!this.entrance.isOpen) {
        const limit = await this.entrance.pass(open);
        if (open.aborted) throw open.reason;
        if (limit !== null) return this.#refuse(open, limit);
        now = performance.now();
      }
      this.meter.begin(open, now);
      const { clientAddress } = open;
      if (this.printsAddresses) printable(clientAddress);
      part = this.#hooks[role];
      if (!part.servesElsewhere) this.open.watch(open);
      const told = part.opened(open);
      if (told !== undefined) await told;
      const verdict = this.#hooks.verifyRequest(request, clientAddress);
      const verified = typeof verdict === "boolean" ? verdict : await verdict;
      if (verdict !== verified) this.open.setBegan(open);
      if (open.aborted) throw open.reason;
      if (verified) {
        this.open.process(open);
        await this.#hooks.processRequest(request, clientAddress);
      } else {
        this.counts.rejected++;
        this.meter.refuse(open, "verifyRequest");
        open.shut = true;
        await this.#hooks.shutdownRequest(request);
      }
    } catch (error) {
      if (part?.servesElsewhere !== true) open.lost = open.handler === null;
      await this.#failed(open, error);
    } finally {
      const ending = endingOf(open);
      if (open.processed && !open.aborted) {
        this.addEnd(open.clientAddress, ending);
      }
      const duration = this.meter.end(open);
      part?.closed(open, duration, ending);
      this.#end(open);
    }
  }

  /**
   * Serves a request that was accepted, verified and counted elsewhere, and has
   * this number there.
   *
   * @returns How it ended: a sum of {@linkcode Ending}.
   */
  async serveAccepted(
    request: R,
    clientAddress: Deno.Addr,
    number: number,
  ): Promise<number> {
    const open = this.open.add(request, clientAddress, true);
    open.number = number;
    this.open.watch(open);
    if (this.printsAddresses) printable(clientAddress);
    try {
      await this.#hooks.processRequest(request, clientAddress);
    } catch (error) {
      open.lost = open.handler === null;
      await this.#failed(open, error);
    } finally {
      this.#end(open);
    }
    if (open.failed || open.aborted) this.#hooks[role].tellCounts();
    return endingOf(open);
  }

  /** Waits for the end of a request that is served elsewhere. */
  async servedElsewhere(request: R, ending: Promise<number>): Promise<void> {
    const open = this.open.find(request);
    // A replica that dies ends no request
    if (open !== undefined) open.lost = true;
    const how = await ending;
    if (open === undefined) return;
    open.lost = (how & Ending.unmade) !== 0; // as if no replica had got it
    open.isOver = (how & Ending.isOver) !== 0;
    open.failed ||= (how & Ending.failed) !== 0;
    if ((how & Ending.aborted) === 0 || open.aborted) return;
    open.aborted = true;
    this.addEnd(open.clientAddress, how);
  }

  /** A replica has cut off a request. */
  wasCut(request: R): void {
    const open = this.open.find(request);
    if (open === undefined || open.aborted) return;
    // Its client may never read what still waits here
    cutOff(open as OpenRequest, null);
    this.addEnd(open.clientAddress, Ending.aborted);
  }

  /** Whether a request is still open that nobody has cut off. */
  isUncut(request: R): boolean {
    return this.open.find(request)?.aborted === false;
  }

  /** Ends a request that is open here, for the server's user. */
  disconnect(id: string): boolean {
    const open = this.open.named(id);
    const isCut = disconnect(open as OpenRequest | undefined);
    if (isCut) this.#hooks[role].cut(open!);
    return isCut;
  }

  /** Counts how a request ended, if the server closes. */
  addEnd(clientAddress: Deno.Addr, ending: number): void {
    if (this.drained === null) return;
    if ((ending & Ending.aborted) !== 0) {
      this.drained.aborted.push(clientAddress);
    } else if ((ending & Ending.unmade) === 0) this.drained.completed++;
  }

  /** The server closes, and cuts off what is open at the time `deadline`. */
  drain(deadline: number): void {
    this.open.drain(deadline);
    this.lingering.drain();
  }

  /**
   * Keeps a connection for a while for its client to read the answer. From then
   * on it is closed here, and only here.
   */
  linger(request: R): void {
    const open = this.open.find(request);
    if (open === undefined || !open.processed || open.aborted) return;
    const { conn } = open;
    conn?.settle();
    if (open.isOver || conn?.clientEnded || conn?.isClosed) return;
    const socket = request as Deno.Conn & { leave?(): void };
    if (typeof socket?.closeWrite !== "function") return;
    // A relayed one lingers where its socket is
    if (open.relayed) return socket.leave?.();
    open.lingers = true;
    this.lingering.add(socket, conn, () => {
      this.entrance.admission?.left(open);
    });
  }

  /** Whether a connection is closed later. */
  lingers(request: R): boolean {
    return this.open.find(request)?.lingers === true;
  }

  /** Counts an error and passes it to the hook. Never throws. */
  async report(
    error: unknown,
    request: R | null,
    clientAddress: Deno.Addr | null,
  ): Promise<void> {
    const shown = readable(error);
    this.counts.addError(shown, request);
    this.#hooks[role].changed();
    await this.#tell(shown, request, clientAddress);
  }

  /** Counts a failure to accept. The hook gets the first of a streak. */
  async acceptFailed(error: unknown, first: boolean): Promise<void> {
    noteAcceptError(error);
    if (isShortage(error)) this.lingering.closeAll();
    this.counts.addAcceptError(error);
    this.#hooks[role].changed();
    if (first) await this.#tell(error, null, null);
  }

  /** Calls `serviceActions()`. Returns a promise only if the hook does. */
  afterTurn(): void | Promise<void> {
    try {
      const actions = this.#hooks.serviceActions();
      return actions?.catch((error) => this.report(error, null, null));
    } catch (error) {
      return this.report(error, null, null);
    }
  }

  /** Applies limits. `room` returns how many more requests fit. */
  setLimits(limits: ServerLimits, room: () => number): void {
    const { entrance } = this;
    const { allow, deny, maxConnectionsPerClient, acceptRatePerClient } =
      limits;
    const given = [allow, deny, maxConnectionsPerClient, acceptRatePerClient];
    const { overLimit = entrance.admission?.overLimit ?? "wait" } = limits;
    if (overLimit === "refuse" || given.some((one) => one !== undefined)) {
      entrance.admission ??= this.#openAdmission(room);
    }
    entrance.admission?.setLimits({ ...limits, overLimit });
    this.deadlines.set(limits);
  }

  #openAdmission(room: () => number): Admission {
    const admission = new Admission(this.counts, room);
    for (const open of this.open.list()) admission.add(open);
    return admission;
  }

  /** The handler of a request has been made. */
  begin(request: R, handler: BaseRequestHandler): void {
    const open = this.open.find(request);
    if (open === undefined) return;
    open.handler = handler;
    this.deadlines.watch(open);
  }

  #refuse(open: OpenRequest<R>, reason: string): void {
    this.counts.refused++;
    this.#hooks[role].changed();
    this.meter.refuse(open, reason);
    closeQuietly(open.request);
  }

  #end(open: OpenRequest<R>): void {
    this.open.delete(open);
    if (this.open.size === 0) this.deadlines.stop();
    if (!open.lingers) this.entrance.admission?.left(open);
    this.#ended();
  }

  async #failed(open: OpenRequest<R>, error: unknown): Promise<void> {
    await this.#reportOf(open, error);
    try {
      // shutdownRequest() would only throw again
      if (!open.shut) await this.#hooks.shutdownRequest(open.request);
    } catch (error) {
      await this.#reportOf(open, error);
      open.shut = true;
    }
    if (open.shut) closeAnyhow(open.request);
  }

  async #reportOf(open: OpenRequest<R>, thrown: unknown): Promise<void> {
    const error = readable(thrown);
    const isEntrance = error instanceof EntranceError;
    // Nor is one lost, with its replica, that had been cut off
    const isOwn = error === open.reason || isEntrance || isOfAbort(error) ||
      error instanceof RunnerExitError;
    if (open.aborted && isOwn) return;
    if (isEntrance) {
      this.counts[error.count]++;
      this.#hooks[role].changed();
      return this.meter.refuse(open, error.reason);
    }
    open.failed = true;
    await this.report(error, open.request, open.clientAddress);
  }

  async #tell(
    error: unknown,
    request: R | null,
    clientAddress: Deno.Addr | null,
  ): Promise<void> {
    if (clientAddress !== null) printable(clientAddress);
    if (this.#telemetry.isWatched("error")) {
      this.#telemetry.emit("error", { error, clientAddress });
    }
    try {
      await this.#hooks.handleError(error, request, clientAddress);
    } catch (hookError) {
      printError(hookError, clientAddress);
    }
  }
}
