/**
 * What the functions of tasks return: a value, a promise, the results of a
 * chunk, or data that moves back.
 *
 * @module
 */
import { reasonOf } from "../base/errors.ts";
import { assertCrosses } from "../codec/codec.ts";
import { isObject, objectsIn } from "../codec/graph.ts";
import { barely, type ErrorRecord, toErrorRecord } from "../line/dialect.ts";
import type { Call } from "../runner/context.ts";
import type { RunnerKind } from "../runner/runner.ts";
import { FLAGS, packValue } from "./_protocol.ts";

/** Whether a task must await it. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (isObject(value) || typeof value === "function") &&
    typeof (value as { then?: unknown }).then === "function";
}

/** The results of a chunk, and the errors with the indices of their items. */
export class Chunk {
  results: unknown[] = [];
  failures: [index: number, record: ErrorRecord][] = [];
  #flags: number;

  /** Constructs an empty chunk of a task with these `FLAGS`. */
  constructor(flags: number) {
    this.#flags = flags;
  }

  /** Adds the error of the next item. Returns whether others may follow. */
  fail(record: ErrorRecord): boolean {
    this.failures.push([this.results.length, record]);
    if ((this.#flags & FLAGS.settled) === 0) return false;
    this.results.push(undefined);
    return true;
  }

  /** Puts errors in place of the results that can't be returned. */
  sift(kind: RunnerKind): Chunk {
    const rest = new Chunk(this.#flags);
    const records = new Map(this.failures);
    const { results } = this;
    for (let at = 0; at < results.length || records.has(at); at++) {
      let record = records.get(at);
      try {
        const value = results[at];
        assertCrosses(kind, record ?? packValue(kind, value, true));
        if (record === undefined) rest.results.push(value);
      } catch (error) {
        if (record !== undefined) record = barely(record);
        else record = toErrorRecord(notReturned(kind, error));
      }
      if (record !== undefined && !rest.fail(record)) break;
    }
    return rest;
  }
}

/** The error of a result that can't cross. */
export function notReturned(kind: RunnerKind, error: unknown): TypeError {
  const why = reasonOf(error);
  return new TypeError(`Cannot return the result from the ${kind}: ${why}`);
}

/** Calls a function for each item, in turn. Gaps are passed over. */
export async function callEach(
  call: Call,
  items: unknown[],
  flags: number,
): Promise<Chunk> {
  const chunk = new Chunk(flags);
  const spread = (flags & FLAGS.spread) !== 0;
  for (let at = 0; at < items.length; at++) {
    if (!(at in items)) {
      chunk.results.push(undefined);
      continue;
    }
    const item = items[at];
    try {
      const result = spread ? call(...item as unknown[]) : call(item);
      chunk.results.push(isThenable(result) ? await result : result);
    } catch (error) {
      if (!chunk.fail(toErrorRecord(error))) break;
    }
  }
  return chunk;
}

/** Finds what moves back: what came by transfer, and what can't be copied. */
export function movedIn(result: unknown, moved: unknown[]): Transferable[] {
  if (moved.includes(result)) return [result as Transferable];
  if (!isObject(result)) return [];
  // The classes that can be moved but not copied. A look at them takes long
  const movable = [
    MessagePort,
    ReadableStream,
    WritableStream,
    TransformStream,
  ];
  const isMoved = (value: object): boolean =>
    moved.includes(value) || movable.some((Class) => value instanceof Class);
  const found = new Set<object>();
  for (const value of objectsIn(result, isMoved)) {
    const whole = ArrayBuffer.isView(value) ? value.buffer : value;
    if (isMoved(whole)) found.add(whole);
  }
  return [...found] as Transferable[];
}
