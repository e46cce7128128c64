/**
 * Runs handlers.
 *
 * @module
 */

import { release } from "../../handlers/_internal.ts";
import type { BaseRequestHandler } from "../../handlers/base_request_handler.ts";
import { quote } from "../../workers/_validate.ts";

/** Throws unless it is a handler class. */
export function checkHandler(handler: unknown): void {
  if (typeof handler !== "function" || handler.prototype === undefined) {
    throw new TypeError(
      `Cannot handle requests with ${
        quote(handler)
      }: expected a class that extends BaseRequestHandler`,
    );
  }
  const { setup, finish, handle } = handler.prototype;
  if ([setup, finish, handle].some((method) => typeof method !== "function")) {
    throw new TypeError(
      `Cannot handle requests with class "${handler.name}": it must extend BaseRequestHandler and have a method handle()`,
    );
  }
}

/** Calls a handler's methods, then releases it. */
export async function runHandler(handler: BaseRequestHandler): Promise<void> {
  // Awaits only promises: for packets each await is measurable
  try {
    const setUp = handler.setup();
    if (setUp !== undefined) await setUp;
    try {
      const handled = handler.handle();
      if (handled !== undefined) await handled;
    } catch (error) {
      await finishAfter(handler, error);
      throw error;
    }
    const finished = handler.finish();
    if (finished !== undefined) await finished;
  } finally {
    const released = handler[release]?.();
    if (released !== undefined) await released;
  }
}

/** Of two errors, throws the later one with the earlier as its cause. */
async function finishAfter(
  handler: BaseRequestHandler,
  earlier: unknown,
): Promise<void> {
  try {
    await handler.finish();
  } catch (error) {
    const extensible = error instanceof Error && Object.isExtensible(error);
    if (extensible && error !== earlier) {
      error.cause ??= earlier;
    }
    throw error;
  }
}
