/**
 * The requests that a hub carries.
 *
 * @module
 */

import { RelayProtocolError } from "./errors.ts";
import type { Opcode } from "./frames.ts";
import type { RelayLink } from "./relay_link.ts";
import type { Budget, Intake } from "./window.ts";

/** A request that a hub carries. */
export interface Carried {
  /**
   * Takes a frame from the runner; throws for one that may not come now.
   *
   * @returns Whether to call `advance()` after the last frame of the message:
   * ends often come together.
   */
  receive(op: Opcode, bytes: Uint8Array): boolean;
  /** Does the next steps. */
  advance(): void;
  /** The runner has ended. */
  fail(error: Error): void;
  /** The time for delivery is over. */
  cut(error: Error): void;
}

/** The hub, as a request sees it. */
export interface Carrier {
  readonly id: number;
  readonly link: RelayLink;
  /** The bytes in transit to the runner. */
  readonly budget: Budget;
  /** The undelivered bytes from the runner. */
  readonly intake: Intake;
  /** Ends the carrying. */
  readonly settle: (error: Error | null) => void;
}

/** The error for a frame that may not come now. */
export function outOfOrder(op: Opcode): RelayProtocolError {
  return new RelayProtocolError(
    `Cannot take a frame with code ${op}: the request is not in a state for it`,
  );
}
