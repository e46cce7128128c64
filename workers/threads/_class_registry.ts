/**
 * Where this package's own classes lie. A static property would say so as
 * well, but classes that extend them could not declare one of their own
 * without `override`.
 *
 * @module
 */

const registry: WeakMap<object, string> = new WeakMap();

/** Says which module exports a class. */
export function setHome(subject: object, url: string): void {
  registry.set(subject, url);
}

/** The module that exports a class of this package. */
export function moduleOf(subject: object): string | undefined {
  return registry.get(subject);
}
