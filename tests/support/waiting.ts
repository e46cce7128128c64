/** Waits that give up, so that a test fails rather than hangs. */

/** Only a test that hangs takes this long, on any machine. */
const PATIENCE_MS = 45_000;

/** Waits for a promise, not for ever. Give `ms` only where speed is the claim. */
export async function within<T>(
  what: string,
  promise: T | Promise<T>,
  ms: number = PATIENCE_MS,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expiry = new Promise<never>((_, reject) => {
    const late = new Error(`Waited ${ms} ms for ${what}`);
    timer = setTimeout(() => reject(late), ms);
  });
  try {
    return await Promise.race([promise, expiry]);
  } finally {
    clearTimeout(timer);
  }
}

/** The pauses between looks: short at first, for what is about to happen. */
const [SHORTEST_MS, LONGEST_MS] = [1, 16];

/** Waits until a condition holds that no event tells of. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  let ms = SHORTEST_MS;
  while (!await condition()) {
    if (performance.now() > deadline) throw new Error(`Gave up: ${what}`);
    await pause(ms);
    ms = Math.min(1.25 * ms, LONGEST_MS);
  }
}

/** Lets time pass. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
