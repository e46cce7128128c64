/**
 * What a hub knows of each request that it carries.
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
   * @returns Whether `advance()` is to be called behind the last frame that has
   * come: what ends is often followed by the end of more.
   */
  receive(op: Opcode, bytes: Uint8Array): boolean;
  /** Does what comes next. */
  advance(): void;
  /** The runner has ended. */
  fail(error: Error): void;
  /** What is still to be delivered had its time. */
  cut(error: Error): void;
}

/** What a request has of the hub that carries it now. */
export interface Carrier {
  readonly id: number;
  readonly link: RelayLink;
  /** What is under way to the runner. */
  readonly budget: Budget;
  /** What is held of what the runner sent. */
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
