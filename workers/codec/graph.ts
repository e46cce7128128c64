/**
 * Replaces objects in a value that crosses, and puts them back at the other
 * end. Where they occur twice, or in rings, they do so afterwards.
 *
 * @module
 */

/** Returns whether a value is an object. */
export function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

// These have no members that a structured clone writes
const LEAF_REGEXP =
  /^\[object (Date|RegExp|Boolean|Number|String|BigInt|\w*ArrayBuffer|DataView|\w+Array)\]$/;

/** The classes of most objects, none of them the platform's. */
const COMMON = new Set<object | null>([
  Object.prototype,
  Array.prototype,
  Map.prototype,
  Set.prototype,
  Date.prototype,
  Error.prototype,
  TypeError.prototype,
  Uint8Array.prototype,
  ArrayBuffer.prototype,
  null,
]);

let brands: symbol[] | undefined;

/** Whether the platform made it, for example a `Blob` or a `MessagePort`. */
function isPlatformObject(value: object): boolean {
  if (COMMON.has(Object.getPrototypeOf(value))) return false;
  // Deno marks them by symbols that it doesn't export
  brands ??= Object.getOwnPropertySymbols(new DOMException()).filter((symbol) =>
    /brand|hostObject/.test(String(symbol))
  );
  return brands.some((brand) => brand in value) ||
    value instanceof WebAssembly.Module;
}

/**
 * Returns whether a value is a `DOMException`, which crosses as a record.
 *
 * @param value The value.
 * @returns Whether it is one.
 */
export function isException(value: object): value is DOMException {
  return value instanceof DOMException && isPlatformObject(value);
}

/**
 * Returns whether a value is another object of the platform. None can be
 * written as bytes, and V8 would write `{}` for it.
 *
 * @param value The value.
 * @returns Whether it is one.
 */
export function isUnwritable(value: object): boolean {
  return isPlatformObject(value) && !(value instanceof DOMException);
}

/** Lists what a structured clone of an object contains. */
function membersOf(value: object): Iterable<unknown> {
  if (value instanceof Map) return [...value.keys(), ...value.values()];
  if (value instanceof Set) return value;
  if (value instanceof Error) {
    return isPlatformObject(value) ? [] : [value.cause];
  }
  return hasMembers(value) ? Object.values(value) : [];
}

function hasMembers(value: object): boolean {
  return Object.getPrototypeOf(value) === Object.prototype ||
    Array.isArray(value) ||
    !LEAF_REGEXP.test(Object.prototype.toString.call(value)) &&
      !isPlatformObject(value);
}

/**
 * Finds all objects that a value contains.
 *
 * @param root The value.
 * @param isLeaf Whether an object counts as a whole.
 * @returns The objects.
 */
export function objectsIn(
  root: object,
  isLeaf: (value: object) => boolean,
): Iterable<object> {
  const seen = new Set([root]);
  // Iterating a set includes values added meanwhile.
  for (const parent of seen) {
    if (isLeaf(parent)) continue;
    for (const child of membersOf(parent)) {
      if (isObject(child)) seen.add(child);
    }
  }
  return seen;
}

/** Finds the objects that are, or lead to, one of the leaves. */
function leadingTo(
  objects: Iterable<object>,
  leaves: Set<object>,
): Set<object> {
  const parents = new Map<object, object[]>();
  for (const parent of objects) {
    if (leaves.has(parent)) continue;
    for (const child of membersOf(parent)) {
      if (!isObject(child)) continue;
      const known = parents.get(child);
      if (known !== undefined) known.push(parent);
      else parents.set(child, [parent]);
    }
  }
  const found = new Set(leaves);
  // Iterating a set includes values added meanwhile.
  for (const value of found) {
    for (const parent of parents.get(value) ?? []) found.add(parent);
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

function emptyCopy(value: object): object {
  if (value instanceof Map) return new Map();
  if (value instanceof Set) return new Set();
  if (Array.isArray(value)) return new Array(value.length);
  if (!(value instanceof Error)) return {};
  // The name says which class the clone has
  const copy = new Error();
  copy.name = value.name;
  if (Object.hasOwn(value, "message")) copy.message = value.message;
  if (value.stack !== undefined) copy.stack = value.stack;
  return copy;
}

/** Fills a copy, or an object itself, with the members of an object. */
function fill(
  copy: object,
  value: object,
  replace: (member: unknown) => unknown,
): void {
  if (value instanceof Map) {
    const entries = [...value];
    const map = copy as typeof value;
    map.clear();
    for (const [key, item] of entries) map.set(replace(key), replace(item));
  } else if (value instanceof Set) {
    const items = [...value];
    const set = copy as typeof value;
    set.clear();
    for (const item of items) set.add(replace(item));
  } else if (value instanceof Error) {
    (copy as Error).cause = replace(value.cause);
  } else {
    for (const [key, item] of Object.entries(value)) {
      const other = replace(item);
      if (copy !== value || other !== item) define(copy, key, other);
    }
  }
}

/**
 * Replaces objects in a value.
 *
 * @param root The value, which stays as it is.
 * @param isReplaced Whether an object is replaced.
 * @param replacementOf Makes the replacement, once for each object.
 * @returns The value itself if it contains no such object, otherwise a copy.
 */
export function replaceIn(
  root: unknown,
  isReplaced: (value: object) => boolean,
  replacementOf: (value: object) => unknown,
): unknown {
  if (!isObject(root)) return root;
  const leaves = new Set<object>();
  const objects = objectsIn(root, (value) => {
    if (isReplaced(value)) leaves.add(value);
    return leaves.has(value);
  });
  if (leaves.size === 0) return root;
  const copies = new Map<unknown, unknown>();
  for (const value of leadingTo(objects, leaves)) {
    const isLeaf = leaves.has(value);
    copies.set(value, isLeaf ? replacementOf(value) : emptyCopy(value));
  }
  // Not each as it is met: they may be nested deeply
  const copyOf = (value: unknown): unknown => copies.get(value) ?? value;
  for (const [value, copy] of copies as Map<object, object>) {
    if (!leaves.has(value)) fill(copy, value, copyOf);
  }
  return copyOf(root);
}

/**
 * Replaces objects in a received value in place.
 *
 * @param root The value.
 * @param originalOf Returns what an object stands for, the same each time; the
 * object itself if it is none.
 * @returns The value, or what it stands for.
 */
export function restoreIn(
  root: unknown,
  originalOf: (value: object) => object,
): unknown {
  if (!isObject(root)) return root;
  const restore = (member: unknown): unknown =>
    isObject(member) ? originalOf(member) : member;
  const original = restore(root);
  if (original !== root) return original;
  const seen = new Set<object>([root]);
  const restored = new Set<unknown>();
  // Iterating a set includes values added meanwhile.
  for (const parent of seen) {
    let changed = false;
    for (const child of membersOf(parent)) {
      const value = restore(child);
      if (value === child) {
        if (isObject(child) && !restored.has(child)) seen.add(child);
        continue;
      }
      restored.add(value);
      changed = true;
    }
    if (changed) fill(parent, parent, restore);
  }
  return root;
}
