/**
 * Prepares arguments, fields and results for crossing. `unpack()` restores
 * them.
 *
 * @module
 */
import type { RunnerKind } from "../runner/runner.ts";
import { pack, packRemote, refuseShared } from "./share.ts";

/** The modules that `unpack()` needs for locks and similar objects. */
export const SHARED_URLS: Record<RunnerKind, string> = {
  thread: new URL("../queue/_sync.ts", import.meta.url).href,
  process: new URL("../runner/process/stand_ins.ts", import.meta.url).href,
};

/**
 * Makes a value ready to cross. Threads share the memory of locks and similar
 * objects; a process gets stand-ins for them.
 *
 * @param kind The kind of the other runner.
 * @param value The value.
 * @returns The value to post instead.
 * @throws {TypeError} If it contains shared memory that can't cross.
 */
export function packFor(kind: RunnerKind, value: unknown): unknown {
  if (kind === "thread") return pack(value);
  refuseShared(value, "pass", "to a process", true);
  return packRemote(value);
}
