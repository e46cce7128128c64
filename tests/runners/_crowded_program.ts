/** Starts threads, which wait for ever, until it can't, and says why. */
// deno-lint-ignore-file no-console

import { Thread } from "../../mod.ts";

export function wait(begun: Int32Array): Promise<void> {
  Atomics.add(begun, 0, 1);
  Atomics.notify(begun, 0);
  return new Promise(() => {});
}

if (import.meta.main) {
  const begun = new Int32Array(new SharedArrayBuffer(4));
  try {
    for (let count = 0;; count++) {
      new Thread({
        target: wait,
        args: [begun],
        module: import.meta.url,
        daemon: true,
      }).start();
      const { async, value } = Atomics.waitAsync(begun, 0, count);
      if (async) await value;
    }
  } catch (error) {
    console.log((error as Error).message);
  }
  Deno.exit();
}
