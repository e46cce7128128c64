/**
 * Connections whose methods go through a watch.
 *
 * @module
 */

import { watch } from "../../handlers/_internal.ts";

/** The methods of a connection that is not watched. */
export type RawConn = Pick<
  Deno.Conn,
  "read" | "write" | "closeWrite" | "close" | typeof Symbol.dispose
>;

/** The target that the methods of a watched connection call. */
export interface ThroughWatch
  extends
    Pick<Deno.Conn, "read" | "write" | "closeWrite" | "readable" | "writable"> {
  /** The connection is about to be closed, by the method that this returns. */
  closing(): RawConn;
}

/** The methods of a watched connection. */
class Watched {
  declare readonly [watch]: ThroughWatch;

  read(into: Uint8Array): Promise<number | null> {
    return this[watch].read(into);
  }

  write(bytes: Uint8Array): Promise<number> {
    return this[watch].write(bytes);
  }

  closeWrite(): Promise<void> {
    return this[watch].closeWrite();
  }

  close(): void {
    this[watch].closing().close.call(this);
  }

  [Symbol.dispose](): void {
    this[watch].closing()[Symbol.dispose].call(this);
  }

  get readable(): Deno.Conn["readable"] {
    return this[watch].readable;
  }

  get writable(): Deno.Conn["writable"] {
    return this[watch].writable;
  }
}

const { constructor: _, ...METHODS } = Object.getOwnPropertyDescriptors(
  Watched.prototype,
) as unknown as Record<PropertyKey, PropertyDescriptor>;

/** The watched form of a prototype, and its own methods. */
interface Wrapped {
  prototype: object;
  watched: object;
  raw: RawConn;
}

const prototypes: WeakMap<object, Wrapped> = new WeakMap();
/** Most connections of a program are alike. */
let latest: Wrapped | null = null;

/** Has a connection's methods go through its watch; returns its own methods. */
export function wrap(conn: Deno.Conn): RawConn {
  if (Object.hasOwn(conn, "read") || Object.hasOwn(conn, "write")) {
    const raw = methodsOf(conn);
    Object.defineProperties(conn, watchedMethodsOf(conn));
    return raw;
  }
  // Half the time of properties of its own, and the same shape for all
  const prototype = Object.getPrototypeOf(conn);
  let wrapped = latest;
  if (wrapped === null || wrapped.prototype !== prototype) {
    wrapped = latest = prototypes.get(prototype) ?? {
      prototype,
      watched: Object.create(prototype, watchedMethodsOf(prototype)),
      raw: methodsOf(prototype),
    };
    prototypes.set(prototype, wrapped);
  }
  Object.setPrototypeOf(conn, wrapped.watched);
  return wrapped.raw;
}

/** A made-up connection need not have all methods. */
function watchedMethodsOf(object: object): PropertyDescriptorMap {
  const found = Reflect.ownKeys(METHODS).filter((name) => name in object);
  return Object.fromEntries(found.map((name) => [name, METHODS[name]!]));
}

/** Looks up no getters: those of a prototype have no connection. */
function methodsOf(object: Deno.Conn): RawConn {
  const { read, write, closeWrite, close } = object;
  return {
    read,
    write,
    closeWrite,
    close,
    [Symbol.dispose]: object[Symbol.dispose],
  };
}
