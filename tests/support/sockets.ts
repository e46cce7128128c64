/**
 * Sockets that were closed a moment ago. Another file's test may start a
 * program just then, which has a copy of each socket of this process until it
 * runs: so long nothing is refused, and an address is in use.
 *
 * @module
 */

import { getAvailablePort } from "@std/net";
import { pause, until } from "./waiting.ts";

/** A free port below those that the system gives to clients. */
export function freePort(): number {
  const preferredPort = 10_000 + Math.floor(Math.random() * 20_000);
  return getAvailablePort({ preferredPort });
}

/**
 * Runs what starts a program on a {@linkcode freePort}, which may be in use by
 * then: its error tells what the program said.
 */
export async function whilePortsAreFree(
  run: () => Promise<void>,
): Promise<void> {
  for (let left = 10;; left--) {
    try {
      return await run();
    } catch (error) {
      if (left === 0 || !/in use/.test(String(error))) throw error;
    }
  }
}

/** Does what needs an address that has just been given up. */
export async function onceFree<T>(listen: () => T | Promise<T>): Promise<T> {
  const deadline = performance.now() + 5_000;
  while (true) {
    try {
      return await listen();
    } catch (error) {
      const isOver = performance.now() > deadline;
      if (isOver || !(error instanceof Deno.errors.AddrInUse)) throw error;
    }
    await pause(1);
  }
}

/** Waits until nobody is let in. */
export async function refused(
  connect: () => Promise<Deno.Conn>,
): Promise<void> {
  await until(async () => {
    try {
      (await connect()).close();
      return false;
    } catch {
      return true;
    }
  }, "the refusal");
}
