/**
 * Objects that another process may call. They stay in their program, which
 * gives out their names. A name permits calls, so it can't be guessed.
 *
 * @module
 */

const exported = new Map<string, WeakRef<object>>();
const ids = new WeakMap<object, string>();
const standIns = new WeakSet<object>();
const factories = new Map<string, () => object>();
const gone = new FinalizationRegistry<string>((id) => exported.delete(id));

function enter(value: object, id: string): string {
  ids.set(value, id);
  exported.set(id, new WeakRef(value));
  gone.register(value, id);
  return id;
}

/**
 * Gives an object a name; the same each time.
 *
 * @param value The object. Its program must keep it.
 * @returns The name.
 */
export function exportObject(value: object): string {
  return ids.get(value) ?? enter(value, crypto.randomUUID());
}

/**
 * Finds an object by its name.
 *
 * @param id The name, or any other received value.
 * @returns The object, or `undefined` if there is none any more.
 */
export function findExported(id: unknown): object | undefined {
  return exported.get(id as string)?.deref();
}

/**
 * Registers how to make stand-ins for objects of another process.
 *
 * @param tag The name of their class.
 * @param make Makes a stand-in.
 */
export function registerStandIn(
  tag: string,
  make: () => object,
): void {
  factories.set(tag, make);
}

/**
 * Makes the stand-in for an object of another process.
 *
 * @param tag The name of its class.
 * @param id The object's name, or any other received value.
 * @returns The stand-in, or `undefined` if there is none.
 */
export function standInFor(tag: string, id: unknown): object | undefined {
  if (typeof id !== "string") return undefined;
  const instance = factories.get(tag)?.();
  if (instance === undefined) return undefined;
  standIns.add(instance);
  enter(instance, id);
  return instance;
}

/**
 * Returns whether an object is a stand-in.
 *
 * @param value The object.
 * @returns `true` if so.
 */
export function isStandIn(value: object): boolean {
  return standIns.has(value);
}
