/**
 * How locks and their like cross to another thread: a structured clone drops
 * classes and private fields, so each travels as a plain, tagged record of its
 * shared memory, and is made anew from it on the other side.
 *
 * Who receives must have the classes registered: import `../queue/_sync.ts`.
 *
 * @module
 */

const TAG = "@socketserver/sync";

// Data that came from outside can look like a record but can't hold this.
const PROOF = new SharedArrayBuffer(0);

/** How instances of a class cross. */
export interface SharedType<T extends object> {
  /** The name of the class, the same in every thread. */
  tag: string;
  /** The class. */
  type: { readonly prototype: T };
  /** Makes an instance that is to be filled. */
  blank(): T;
  /** Takes the memory out of an instance; throws if it can't be shared. */
  record(value: T): unknown;
  /** Puts an instance over that memory. */
  fill(blank: T, record: never): void;
}

interface SharedRecord {
  [TAG]: string;
  proof: SharedArrayBuffer;
  record: unknown;
}

const types = new Map<object, SharedType<object>>();
const tags = new Map<string, SharedType<object>>();

/**
 * Makes instances of a class fit to cross.
 *
 * @param type How they do it.
 */
export function register<T extends object>(type: SharedType<T>): void {
  const erased = type as unknown as SharedType<object>;
  types.set(type.type.prototype, erased);
  tags.set(type.tag, erased);
}

/**
 * Makes instances of a subclass fit to cross; it has no memory of its own.
 *
 * @param base The class it extends, which is registered.
 * @param type What is different.
 */
export function registerSubclass<T extends object>(
  base: { readonly prototype: object },
  type: Pick<SharedType<T>, "tag" | "type" | "blank">,
): void {
  register({ ...types.get(base.prototype)!, ...type } as SharedType<T>);
}

function typeOf(value: object): SharedType<object> | undefined {
  let prototype = Object.getPrototypeOf(value);
  while (prototype !== null && prototype !== Object.prototype) {
    const type = types.get(prototype);
    if (type !== undefined) return type;
    prototype = Object.getPrototypeOf(prototype);
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function* members(value: object): Iterable<unknown> {
  if (value instanceof Map) {
    for (const entry of value) yield* entry;
  } else if (value instanceof Set) {
    yield* value;
  } else if (
    Array.isArray(value) ||
    Object.prototype.toString.call(value) === "[object Object]"
  ) {
    yield* Object.values(value);
  }
}

/** All objects that can be reached, each with those that lead to it. */
function reach(root: object): Map<object, object[]> {
  const parents = new Map<object, object[]>([[root, []]]);
  const open = [root];
  for (let parent; (parent = open.pop()) !== undefined;) {
    if (typeOf(parent) !== undefined) continue;
    for (const child of members(parent)) {
      if (!isObject(child)) continue;
      const known = parents.get(child);
      if (known !== undefined) known.push(parent);
      else {
        parents.set(child, [parent]);
        open.push(child);
      }
    }
  }
  return parents;
}

/** What must be replaced: instances, and all that leads to one. */
function affected(root: object): Set<object> {
  const parents = reach(root);
  const found = new Set<object>();
  const open = [...parents.keys()].filter((value) => typeOf(value));
  for (let value; (value = open.pop()) !== undefined;) {
    if (found.has(value)) continue;
    found.add(value);
    open.push(...parents.get(value)!);
  }
  return found;
}

function define(object: object, key: string, value: unknown): void {
  // Not `object[key] =`: the key may be "__proto__".
  Object.defineProperty(object, key, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

function rebuild(
  value: unknown,
  replace: Set<object>,
  done: Map<object, unknown>,
): unknown {
  if (!isObject(value) || !replace.has(value)) return value;
  if (done.has(value)) return done.get(value);
  const type = typeOf(value);
  if (type !== undefined) {
    const record: SharedRecord = {
      [TAG]: type.tag,
      proof: PROOF,
      record: type.record(value),
    };
    done.set(value, record);
    return record;
  }
  const again = (member: unknown): unknown => rebuild(member, replace, done);
  if (value instanceof Map) {
    const copy = new Map();
    done.set(value, copy);
    for (const [key, item] of value) copy.set(again(key), again(item));
    return copy;
  }
  if (value instanceof Set) {
    const copy = new Set();
    done.set(value, copy);
    for (const item of value) copy.add(again(item));
    return copy;
  }
  const copy = Array.isArray(value) ? new Array(value.length) : {};
  done.set(value, copy);
  for (const [key, item] of Object.entries(value)) {
    define(copy, key, again(item));
  }
  return copy;
}

/**
 * Makes a value fit to be posted to a thread.
 *
 * @param value What is to be posted.
 * @returns The value itself where no lock or its like is in it; else a copy of
 * what leads to them, with records in their places.
 */
export function pack(value: unknown): unknown {
  if (!isObject(value)) return value;
  const replace = affected(value);
  return replace.size === 0 ? value : rebuild(value, replace, new Map());
}

function isRecord(value: object): value is SharedRecord {
  return Object.hasOwn(value, TAG) &&
    (value as SharedRecord).proof instanceof SharedArrayBuffer &&
    tags.has((value as SharedRecord)[TAG]);
}

/**
 * Brings locks and their like back to life in a value that was posted.
 *
 * @param value What was received; it is changed in place.
 * @returns The value, or what it stands for.
 */
export function unpack(value: unknown): unknown {
  if (!isObject(value)) return value;
  const revived = new Map<object, object>();
  const revive = (member: unknown): unknown => {
    if (!isObject(member) || !isRecord(member)) return member;
    let instance = revived.get(member);
    if (instance === undefined) {
      const type = tags.get(member[TAG])!;
      instance = type.blank();
      type.fill(instance, member.record as never);
      revived.set(member, instance);
    }
    return instance;
  };
  const root = revive(value);
  if (root !== value) return root;
  const seen = new Set<object>([value]);
  // A set yields what is added to it meanwhile.
  for (const parent of seen) {
    reviveMembers(parent, revive);
    for (const child of members(parent)) {
      if (isObject(child) && typeOf(child) === undefined) seen.add(child);
    }
  }
  return value;
}

function reviveMembers(
  parent: object,
  revive: (member: unknown) => unknown,
): void {
  if (![...members(parent)].some((member) => revive(member) !== member)) return;
  if (parent instanceof Map) {
    const entries = [...parent];
    parent.clear();
    for (const [key, item] of entries) parent.set(revive(key), revive(item));
  } else if (parent instanceof Set) {
    const items = [...parent];
    parent.clear();
    for (const item of items) parent.add(revive(item));
  } else {
    for (const [key, item] of Object.entries(parent)) {
      const instance = revive(item);
      if (instance !== item) define(parent, key, instance);
    }
  }
}

// Others are the platform's own, which V8 would write as `{}`.
const CLONEABLE_REGEXP =
  /^\[object (Object|Array|Map|Set|Date|RegExp|Error|Boolean|Number|String|BigInt|ArrayBuffer|DataView|\w+Array|Arguments)\]$/;

/**
 * Refuses what can't be written as bytes, or would be lost without a word.
 *
 * @param value What is to cross.
 * @param doing What is being done to it, for the message.
 * @param where And where, for the message.
 * @throws {TypeError} If there is shared memory in it, alone or in a lock.
 * @throws {DOMException} "DataCloneError", if there is an object of the
 * platform in it, such as a `MessagePort`.
 */
export function refuseShared(
  value: unknown,
  doing = "share",
  where = "with a process",
): void {
  if (!isObject(value)) return;
  for (const found of reach(value).keys()) {
    const name = typeOf(found)?.tag ?? sharedMemoryName(found);
    if (name !== undefined) {
      throw new TypeError(
        `Cannot ${doing} a ${name} ${where}: it is memory that only threads ` +
          'of one process have in common; pass it in the "args" of a Thread',
      );
    }
    const tag = Object.prototype.toString.call(found);
    if (CLONEABLE_REGEXP.test(tag)) continue;
    throw new DOMException(
      `Cannot ${doing} a ${tag.slice(8, -1)} ${where}: it cannot be cloned`,
      "DataCloneError",
    );
  }
}

function sharedMemoryName(value: object): string | undefined {
  if (value instanceof SharedArrayBuffer) return "SharedArrayBuffer";
  if (
    ArrayBuffer.isView(value) && value.buffer instanceof SharedArrayBuffer
  ) {
    return `${value.constructor.name} over a SharedArrayBuffer`;
  }
}
