/**
 * What is done to arguments, fields and results before they cross; they are
 * restored by `unpack()`.
 *
 * @module
 */
import type { RunnerKind } from "../runner/runner.ts";
import { pack, refuseShared } from "./share.ts";

/**
 * Makes a value ready to cross: locks and their like are shared with threads,
 * and refused for processes, which could only get dead copies.
 *
 * @param kind Where to, or from.
 * @param value What is to cross.
 * @returns What is posted in its place.
 * @throws {TypeError} If it shares memory, and that can't be.
 */
export function packFor(kind: RunnerKind, value: unknown): unknown {
  if (kind === "thread") return pack(value);
  refuseShared(value, "pass", "to a process");
  return value;
}
