/**
 * Knowing when a program is out of file descriptors.
 *
 * @module
 */

const CODES = ["EMFILE", "ENFILE"];
const PROBE_PATH = "/dev/null";

/** Accepts that fail are tried again within a second. */
const MEMORY_MS = 2_000;

/** When an accept of this thread last failed for lack of a descriptor. */
let failedAt = -Infinity;

/** Notes why an accept failed. */
export function noteAcceptError(error: unknown): void {
  if (isShortage(error)) failedAt = performance.now();
}

/**
 * Whether no descriptor is free, as far as can be known: by what is reported,
 * by the accepts of this thread, and by a try where reading is allowed.
 */
export function lacksDescriptors(reported: unknown): boolean {
  if (performance.now() - failedAt < MEMORY_MS || isShortage(reported)) {
    return true;
  }
  try {
    const { state } = Deno.permissions.querySync({
      name: "read",
      path: PROBE_PATH,
    });
    if (state === "granted") Deno.openSync(PROBE_PATH).close();
    return false;
  } catch (error) {
    return isShortage(error);
  }
}

function isShortage(error: unknown): boolean {
  return error instanceof Error &&
    CODES.includes((error as Error & { code?: string }).code ?? "");
}
