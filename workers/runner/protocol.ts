/**
 * The messages between a runner and its owner: numbered frames over a private
 * port, a transferred `MessagePort` or a connection.
 *
 * - The owner says `start` once, first, then any number of `message`.
 * - The runner says `hello` (a thread's, once it holds its Web Lock) and
 *   `ready` (when `main` has been called) at most once each, any number of
 *   `message`, and `exit`, after which nothing counts.
 * - A process and its owner say `share` at any time after `start`: see
 *   `process/share_host.ts`.
 *
 * @module
 */
import { type ExitRecord, fromExitRecord } from "./error_record.ts";
import type { LaunchFlags } from "./process/launch_flags.ts";
import { ProtocolError } from "./protocol_error.ts";
import type { RunnerExit } from "../errors.ts";

/** The kinds of frames, in both directions. */
export const FRAME = {
  message: 0,
  start: 1,
  hello: 2,
  ready: 3,
  exit: 4,
  share: 5,
} as const;

/** A frame as it crosses to or from a thread: its kind and its value. */
export type Frame = readonly [kind: number, value?: unknown];

/** The value of a `start` frame. */
export interface Start {
  /** The data for `main`. */
  data: unknown;
  /** The program's flags, from the parent. */
  launchFlags: LaunchFlags;
}

/** The owner's handling of a runner's frames. */
export interface OwnerActions {
  /** A message for whoever uses the runner. */
  message(value: unknown): void;
  /** The thread holds its lock; a process has none. */
  hello?(): void;
  /** `main` has been called. */
  ready(): void;
  /** A process calls a lock or a similar object. */
  share?(value: unknown): void;
  /** The runner reports its end, or broke the protocol. */
  leave(exit: RunnerExit): void;
}

/** Decodes a runner's frames and checks their order. */
export class RunnerDecoder {
  #actions: OwnerActions;
  #greeted = false;
  #ready = false;
  #left = false;

  constructor(actions: OwnerActions) {
    this.#actions = actions;
  }

  /** Takes a frame as a thread sends it. */
  receiveFrame(frame: unknown): void {
    if (Array.isArray(frame)) this.receive(frame[0], frame[1]);
    else this.fail(new ProtocolError(`${describe(frame)} is no frame`));
  }

  /** Takes a frame; never throws. */
  receive(kind: unknown, value: unknown): void {
    if (this.#left) return;
    if (kind === FRAME.message) return this.#actions.message(value);
    try {
      this.#control(kind, value);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Ends the runner for an invalid message. */
  fail(thrown: unknown): void {
    if (this.#left) return;
    this.#left = true;
    const error = thrown instanceof Error ? thrown : new ProtocolError(
      `Cannot handle a message: ${describe(thrown)} was thrown`,
    );
    this.#actions.leave({ code: 1, reason: "protocol", error });
  }

  #control(kind: unknown, value: unknown): void {
    if (kind === FRAME.exit) {
      const exit = fromExitRecord(value as ExitRecord);
      this.#left = true;
      this.#actions.leave(exit);
    } else if (kind === FRAME.ready && !this.#ready) {
      this.#ready = true;
      this.#actions.ready();
    } else if (kind === FRAME.share && this.#actions.share) {
      this.#actions.share(value);
    } else if (
      kind === FRAME.hello && !this.#greeted && this.#actions.hello
    ) {
      this.#greeted = true;
      this.#actions.hello();
    } else {
      throw new ProtocolError(
        `A frame of kind ${describe(kind)} is unknown or out of order`,
      );
    }
  }
}

/**
 * Checks the first frame that a runner gets.
 *
 * @param kind The frame's kind.
 * @param value The frame's value.
 * @returns The value.
 * @throws {ProtocolError} If it is no start.
 */
export function decodeStart(kind: unknown, value: unknown): Start {
  if (kind === FRAME.start && typeof value === "object" && value !== null) {
    const { launchFlags } = value as Partial<Start>;
    if (Array.isArray(launchFlags?.flags)) return value as Start;
  }
  throw new ProtocolError("The first frame is no start");
}

function describe(value: unknown): string {
  return typeof value === "number" ? `${value}` : `a value of ${typeof value}`;
}
