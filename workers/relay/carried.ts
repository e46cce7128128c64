/**
 * The requests that a hub carries.
 *
 * @module
 */

import { RelayProtocolError } from "./errors.ts";
import type { Opcode } from "./frames.ts";
import type { RelaySide } from "./window.ts";

/** A request that a hub carries. */
export interface Carried {
  /** Its place among the requests that the runner was given. */
  readonly order: number;
  /**
   * Takes a frame from the runner; throws for one that may not come now.
   *
   * @returns Whether to call `advance()` after the last frame of the message:
   * ends often come together.
   */
  receive(op: Opcode, bytes: Uint8Array): boolean;
  /** Does the next steps. */
  advance(): void;
  /** The runner has ended; `begun` if it had begun the request. */
  fail(error: Error, begun: boolean): void;
  /** The time for delivery is over. */
  cut(error: Error): void;
}

/** The hub, as a request sees it. */
export interface Carrier {
  readonly id: number;
  readonly order: number;
  readonly side: RelaySide;
  /** Ends the carrying. */
  readonly settle: (error: Error | null) => void;
}

/** The error for a frame that may not come now. */
export function outOfOrder(op: Opcode): RelayProtocolError {
  return new RelayProtocolError(
    `Cannot take a frame with code ${op}: the request is not in a state for it`,
  );
}
