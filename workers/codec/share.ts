/**
 * Sends locks and similar objects to another thread. A structured clone drops
 * classes and private fields, so each crosses as a tagged record of its shared
 * memory, and is made again from it at the other end.
 *
 * The receiver must have the classes registered: import `../queue/_sync.ts`.
 *
 * @module
 */

import {
  isObject,
  isUnwritable,
  objectsIn,
  replaceIn,
  restoreIn,
} from "./graph.ts";
import type { RunnerKind } from "../runner/runner.ts";
import type { SharedType } from "./shared_type.ts";

const TAG = "@socketserver/sync";

// Foreign data can look like a record, but can't contain this.
const PROOF = new SharedArrayBuffer(0);

// Marks a record that names an object of another process. Only this process, its
// children and its parent know it, so that no data of a client contains it.
let ownProof: string | undefined;
let parentsProof: string | undefined;

/** Returns what marks the records for this process's children. */
export function proofForChildren(): string {
  return ownProof ??= crypto.randomUUID();
}

/** Sets what marks the records of this process's parent. */
export function setParentsProof(proof: string): void {
  parentsProof = proof;
}

interface SharedRecord {
  [TAG]: string;
  proof: SharedArrayBuffer | string;
  /** Its name, the same wherever it crosses. */
  id: string;
  record: unknown;
}

/** The modules that `unpack()` needs for locks and similar objects. */
export const SHARED_URLS: Record<RunnerKind, string> = {
  thread: new URL("../queue/_sync.ts", import.meta.url).href,
  process: new URL("../queue/_stand_ins.ts", import.meta.url).href,
};

const types = new Map<object, SharedType<object>>();
const tags = new Map<string, SharedType<object>>();

/**
 * Registers a class whose instances can cross.
 *
 * @param Class The class.
 * @param how How they cross.
 */
export function register<T extends object>(
  Class: { readonly name: string; readonly prototype: T },
  how: Omit<SharedType<T>, "tag">,
): void {
  const type = { ...how, tag: Class.name } as unknown as SharedType<object>;
  types.set(Class.prototype, type);
  tags.set(type.tag, type);
}

/**
 * Registers a subclass without memory of its own.
 *
 * @param Class The class. The one that it extends is registered.
 * @param blank Makes an instance to fill.
 */
export function registerSubclass<T extends object>(
  Class: { readonly name: string; readonly prototype: T },
  blank: () => T,
): void {
  const base = types.get(Object.getPrototypeOf(Class.prototype))!;
  register<T>(Class, { ...base, blank } as Omit<SharedType<T>, "tag">);
}

/** How something crosses that belongs to the thread that made it: not at all. */
const BOUND: SharedType<object> = {
  tag: "",
  bound: true,
  blank: () => ({}),
  record: (value) => {
    throw boundError(value, "to a thread");
  },
  fill: () => {},
};

function boundError(value: object, where: string): TypeError {
  const { name } = value.constructor;
  const article = /^[AEIOU]/.test(name) ? "an" : "a";
  return new TypeError(
    `Cannot pass ${article} ${name} ${where}: it belongs to the thread that ` +
      "made it; make another one there",
  );
}

/**
 * Registers a class whose instances can't cross. A structured clone would make
 * `{}` of them, without a word.
 *
 * @param type The class.
 */
export function registerBound(type: { readonly prototype: object }): void {
  types.set(type.prototype, BOUND);
}

registerBound(AbortSignal);
registerBound(AbortController);

/** Whether a value is a connection, a listener or a file of Deno's. */
function isResource(value: object): boolean {
  return "joinMulticastV4" in value ||
    Object.getOwnPropertySymbols(value).some(({ description }) =>
      description === "Deno.internal.rid"
    );
}

/** How an object crosses; `undefined` if as a structured clone. */
export function typeOf(value: object): SharedType<object> | undefined {
  let prototype = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === Array.prototype) return;
  while (prototype !== null && prototype !== Object.prototype) {
    const type = types.get(prototype);
    if (type !== undefined) return type;
    prototype = Object.getPrototypeOf(prototype);
  }
  return isResource(value) ? BOUND : undefined;
}

function memoryRecord(value: object, type: SharedType<object>): SharedRecord {
  if (standIns.has(value)) {
    throw new TypeError(
      `Cannot pass a ${type.tag} to a thread: it is kept by the parent process; start the thread there`,
    );
  }
  return {
    [TAG]: type.tag,
    proof: PROOF,
    id: exportObject(value),
    record: type.record(value),
  };
}

/** The object stays where it is; the process gets its name. */
function remoteRecord(
  value: object,
  type: SharedType<object>,
  proof: string,
): SharedRecord {
  return { [TAG]: type.tag, proof, id: exportObject(value), record: null };
}

function isShared(value: object): boolean {
  return typeOf(value) !== undefined;
}

/**
 * Looks at all objects of a value once; where there are locks and similar
 * objects, it puts records in their places.
 */
function replaceWith(
  value: unknown,
  recordOf: (value: object, type: SharedType<object>) => SharedRecord,
  isShared: (value: object) => boolean,
): unknown {
  return replaceIn(value, isShared, (instance) => {
    const type = typeOf(instance)!;
    const record = recordOf(instance, type);
    if (type.composite) {
      record.record = replaceWith(type.record(instance), recordOf, isShared);
    }
    return record;
  });
}

/**
 * Prepares a value for posting to a thread.
 *
 * @param value The value.
 * @returns The value itself if it contains no lock or similar object. Otherwise
 * a copy with records in their places.
 */
export function pack(value: unknown): unknown {
  return replaceWith(value, memoryRecord, isShared);
}

/**
 * Makes a value ready to cross. Threads share the memory of locks and similar
 * objects; a process gets stand-ins for them.
 *
 * @param kind The kind of the other runner; of this one for its result.
 * @param value The value.
 * @param isResult Whether it goes from a runner to its owner.
 * @returns As {@linkcode pack} does.
 * @throws {TypeError} If it contains shared memory that can't cross.
 */
export function packFor(
  kind: RunnerKind,
  value: unknown,
  isResult = false,
): unknown {
  if (kind === "thread") return pack(value);
  const [doing, where] = isResult
    ? ["return", "from a process"]
    : ["pass", "to a process"];
  const proof = isResult ? parentsProof ?? "" : proofForChildren();
  return replaceWith(
    value,
    (object, type) => remoteRecord(object, type, proof),
    (object) => {
      const type = typeOf(object);
      refuse(object, type, doing, where, true);
      if (isResult) refuseOwn(object, type);
      return type !== undefined;
    },
  );
}

/** Refuses what would end with this process: stand-ins are the parent's. */
function refuseOwn(value: object, type: SharedType<object> | undefined): void {
  if (type === undefined || type.composite || standIns.has(value)) return;
  throw new TypeError(
    `Cannot return a ${type.tag} from a process that made it: it would end ` +
      'with the process; make it in the parent and pass it in the "args"',
  );
}

function isRecord(value: object): value is SharedRecord {
  if (!Object.hasOwn(value, TAG)) return false;
  const { [TAG]: tag, proof } = value as SharedRecord;
  return tags.has(tag) && (proof instanceof SharedArrayBuffer ||
    typeof proof === "string" &&
      (proof === ownProof || proof === parentsProof));
}

/**
 * Finds the instances of a class in what was packed.
 *
 * @param packed The packed value.
 * @param tag The name of the class.
 * @returns Their records.
 */
export function recordsIn(packed: object, tag: string): unknown[] {
  const isFound = (value: object): value is SharedRecord =>
    isRecord(value) && value[TAG] === tag;
  return [...objectsIn(packed, isFound)].filter(isFound)
    .map(({ record }) => record);
}

/**
 * The instance that a record stands for, the same each time it comes; the
 * record itself if there is none.
 */
function reviveRecord(record: SharedRecord): object {
  const { id } = record;
  const type = tags.get(record[TAG])!;
  const known = findExported(id);
  // Hostile code must not give the name of one object to another
  if (known !== undefined) return typeOf(known) === type ? known : record;
  if (typeof id !== "string") return record;
  const isRemote = typeof record.proof === "string";
  if (type.composite) unpack(record.record);
  else if (isRemote) {
    if (type.standIn === undefined) return record;
    const standIn = enter(type.standIn(), id);
    standIns.add(standIn);
    return standIn;
  }
  const instance = type.blank();
  type.fill(instance, record.record as never);
  enter(instance, id);
  if (isRemote) type.opened?.(instance);
  return instance;
}

/**
 * Restores the locks and similar objects in a received value.
 *
 * @param value The received value. It is changed in place.
 * @returns The value, or the object that it stands for.
 */
export function unpack(value: unknown): unknown {
  const revived = new Map<object, object>();
  return restoreIn(value, (member) => {
    if (!isRecord(member)) return member;
    let instance = revived.get(member);
    if (instance === undefined) {
      instance = reviveRecord(member);
      revived.set(member, instance);
    }
    return instance;
  });
}

/**
 * Refuses what no queue can hold: what can't be written as bytes, or would be
 * silently lost.
 *
 * @param value The item, or a list with it.
 * @throws {TypeError} If it contains shared memory, directly or in a lock.
 * @throws {DOMException} A `DataCloneError` if it contains a platform object,
 * for example a `MessagePort`.
 */
export function refuseItem(value: unknown): void {
  if (!isObject(value)) return;
  for (const found of objectsIn(value, isShared)) {
    refuse(found, typeOf(found), "put", "in a queue", false);
  }
}

function refuse(
  value: object,
  type: SharedType<object> | undefined,
  doing: string,
  where: string,
  remote: boolean,
): void {
  if (remote && (type?.asks || type?.composite)) return;
  if (type?.bound && !isUnwritable(value)) throw boundError(value, where);
  const name = type?.tag || sharedMemoryName(value);
  if (name !== undefined) {
    const article = /^(I|RLock)/.test(name) ? "an" : "a";
    throw new TypeError(
      `Cannot ${doing} ${article} ${name} ${where}: it is memory that only threads ` +
        'of one process have in common; pass it in the "args" of a Thread',
    );
  }
  if (!isUnwritable(value)) return;
  throw new DOMException(
    `Cannot ${doing} a ${value.constructor.name} ${where}: it cannot be cloned`,
    "DataCloneError",
  );
}

function sharedMemoryName(value: object): string | undefined {
  if (value instanceof SharedArrayBuffer) return "SharedArrayBuffer";
  if (
    ArrayBuffer.isView(value) && value.buffer instanceof SharedArrayBuffer
  ) {
    return `${value.constructor.name} over a SharedArrayBuffer`;
  }
}

// A name permits calls of the object, so it can't be guessed.
const exported = new Map<string, WeakRef<object>>();
const ids = new WeakMap<object, string>();
const standIns = new WeakSet<object>();
const gone = new FinalizationRegistry<string>((id) => {
  // It may have come again since
  if (findExported(id) === undefined) exported.delete(id);
});

function enter<T extends object>(value: T, id: string): T {
  ids.set(value, id);
  exported.set(id, new WeakRef(value));
  gone.register(value, id);
  return value;
}

/**
 * Gives an object a name, the same in all threads and processes; a process
 * calls it by that.
 *
 * @param value The object. Its program must keep it.
 * @returns The name.
 */
export function exportObject(value: object): string {
  let id = ids.get(value);
  if (id === undefined) {
    // With Deno's `--seed`, all threads have the same random numbers
    id = `${crypto.randomUUID()}:${performance.timeOrigin}`;
    enter(value, id);
  }
  return id;
}

/** Finds an object by its name, which may be any received value. */
export function findExported(id: unknown): object | undefined {
  return exported.get(id as string)?.deref();
}

/** Returns how instances of a class cross, by its name. */
export function typeNamed(tag: string): SharedType<object> {
  return tags.get(tag)!;
}

/** Whether an object only stands for one of the parent process. */
export function isStandIn(value: object): boolean {
  return standIns.has(value);
}
