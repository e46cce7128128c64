/**
 * The descriptors that a thread takes when it starts. If Deno finds none for
 * it, the whole program ends.
 *
 * @module
 */

const FILE = new URL(import.meta.url);
/** What a thread takes, as measured: up to nine. */
const NEEDED = 10;
/** What clients may take until it has: threads accept them, too. */
const MARGIN = 16;
const SHORT = new Set(["EMFILE", "ENFILE"]);

let starting = 0;

/**
 * Reserves the descriptors of a thread that starts.
 *
 * @param name The thread's name, for the error.
 * @returns A function to call when it has taken them, or has ended.
 * @throws {Error} If there are too few.
 */
export function reserveDescriptors(name: string): () => void {
  assertFree((starting + 1) * NEEDED + MARGIN, name);
  starting++;
  let isReserved = true;
  return () => {
    if (isReserved) starting--;
    isReserved = false;
  };
}

/** Opens a file that it may read anyhow: nothing else tells the number. */
function assertFree(count: number, name: string): void {
  if (FILE.protocol !== "file:") return;
  const files: Deno.FsFile[] = [];
  let cause: Error | null = null;
  try {
    while (files.length < count) files.push(Deno.openSync(FILE));
  } catch (error) {
    cause = error as Error;
  }
  for (const file of files) file.close();
  const { code } = (cause ?? {}) as { code?: string };
  if (code === undefined || !SHORT.has(code)) return;
  throw Object.assign(
    new Error(
      `Cannot start thread "${name}": the program has too few free file ` +
        `descriptors (${files.length} of ${count}); raise the limit with ` +
        '"ulimit -n", or lower "maxConnections" or "workers"',
    ),
    { code },
  );
}
