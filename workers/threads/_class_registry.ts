/**
 * The modules of this package's own classes. They have no static property for
 * it, because subclasses would then have to declare theirs with `override`.
 *
 * @module
 */

const registry: WeakMap<object, string> = new WeakMap();

/** Registers the module that exports a class. */
export function setModule(subject: object, url: string): void {
  registry.set(subject, url);
}

/** The module that exports a class of this package. */
export function moduleOf(subject: object): string | undefined {
  return registry.get(subject);
}
