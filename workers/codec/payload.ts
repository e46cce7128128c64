/**
 * What is done to arguments, fields and results before they cross; they are
 * restored by `unpack()`.
 *
 * @module
 */
import type { RunnerKind } from "../runner/runner.ts";
import { pack, packRemote, refuseShared } from "./share.ts";

/** The modules that `unpack()` needs where there are locks and their like. */
export const SHARED_URLS: Record<RunnerKind, string> = {
  thread: new URL("../queue/_sync.ts", import.meta.url).href,
  process: new URL("../runner/process/stand_ins.ts", import.meta.url).href,
};

/**
 * Makes a value ready to cross: threads share the memory of locks and their
 * like; a process gets stand-ins for those that it can call through its line.
 *
 * @param kind Where to, or from.
 * @param value What is to cross.
 * @returns What is posted in its place.
 * @throws {TypeError} If it shares memory, and that can't be.
 */
export function packFor(kind: RunnerKind, value: unknown): unknown {
  if (kind === "thread") return pack(value);
  refuseShared(value, "pass", "to a process", true);
  return packRemote(value);
}
