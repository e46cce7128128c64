/**
 * Creates the `Worker` of a thread.
 *
 * @module
 */

import { entrySource } from "../entry_source.ts";
import { launchFlags } from "../process/launch_flags.ts";
import type { RunnerOptions } from "../runner.ts";

const ENTRY_URL = new URL("./worker_entry.ts", import.meta.url).href;

/**
 * A worker's local modules count as files that the program reads. What Deno
 * prints for those it may not read can't be caught.
 */
function assertReadable(urls: string[], name: string): void {
  for (const url of urls) {
    if (!url.startsWith("file:")) continue;
    const { state } = Deno.permissions.requestSync({
      name: "read",
      path: new URL(url),
    });
    if (state !== "granted") {
      throw new Deno.errors.NotCapable(
        `Cannot start thread "${name}": this program may not read "${url}", ` +
          "which runs there (needs --allow-read)",
      );
    }
  }
}

/**
 * Creates the worker of a thread, which waits for its first message.
 *
 * @param options What runs there.
 * @returns The worker.
 */
export function createWorker(options: RunnerOptions): Worker {
  const { name = "", permissions = "inherit" } = options;
  assertReadable([ENTRY_URL, options.main, ...options.modules ?? []], name);
  if (permissions !== "inherit" && !launchFlags().workerOptions) {
    throw new Deno.errors.NotSupported(
      `Cannot start thread "${name}" with permissions of its own: add ` +
        `"worker-options" to "unstable" in deno.json, or run Deno with ` +
        "--unstable-worker-options (found only where this program may read " +
        "its deno.json, or has all permissions)",
    );
  }
  // The same modules give the same URL: what Deno has found out about it, such
  // as its types under "deno test", serves the next thread as well
  const source = entrySource(ENTRY_URL, options);
  const url = `data:application/javascript,${encodeURIComponent(source)}`;
  return new Worker(url, {
    type: "module",
    name,
    ...(permissions === "inherit" ? {} : { deno: { permissions } }),
  });
}
