/**
 * Objects that another process calls: its program keeps them, and gives out
 * their names. Whoever knows a name may call, so a name can't be guessed.
 *
 * @module
 */

const exported = new Map<string, WeakRef<object>>();
const ids = new WeakMap<object, string>();
const standIns = new WeakSet<object>();
const factories = new Map<string, (id: string) => object>();
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
 * @param value The object, which its program has to keep.
 * @returns The name.
 */
export function exportObject(value: object): string {
  return ids.get(value) ?? enter(value, crypto.randomUUID());
}

/**
 * Finds an object by its name.
 *
 * @param id The name, or something else that was sent.
 * @returns The object, or `undefined` if there is none any more.
 */
export function findExported(id: unknown): object | undefined {
  return exported.get(id as string)?.deref();
}

/**
 * Says how to make what stands in for objects that another process keeps.
 *
 * @param tag The name of their class.
 * @param make Makes what stands in for the object of a name.
 */
export function registerStandIn(
  tag: string,
  make: (id: string) => object,
): void {
  factories.set(tag, make);
}

/**
 * Makes what stands in for an object that another process keeps.
 *
 * @param tag The name of its class.
 * @param id The object's name, or something else that was sent.
 * @returns What stands in for it, or `undefined` if that can't be had.
 */
export function standInFor(tag: string, id: unknown): object | undefined {
  if (typeof id !== "string") return undefined;
  const instance = factories.get(tag)?.(id);
  if (instance === undefined) return undefined;
  standIns.add(instance);
  enter(instance, id);
  return instance;
}

/**
 * Tells whether another process keeps what an object stands for.
 *
 * @param value The object.
 * @returns `true` if so.
 */
export function isStandIn(value: object): boolean {
  return standIns.has(value);
}
