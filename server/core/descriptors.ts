/**
 * Detects that a program is out of file descriptors.
 *
 * @module
 */

const CODES = ["EMFILE", "ENFILE"];
const PROBE_PATH = "/dev/null";

/** A failed accept is retried within a second. */
const MEMORY_MS = 2_000;

/** The last time that an accept of this thread found no free descriptor. */
let failedAt = -Infinity;

/** Records the error of an accept. */
export function noteAcceptError(error: unknown): void {
  if (isShortage(error)) failedAt = performance.now();
}

/**
 * Whether no descriptor is free, judged by the error, by recent accepts of this
 * thread, and by opening a file if permitted.
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
