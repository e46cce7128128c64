/**
 * Finds the word that a misspelling means.
 *
 * @module
 */

/**
 * `; did you mean "word"?` for the word that begins so or is nearest, "" if none
 * is near.
 */
export function suggest(written: string, words: Iterable<string>): string {
  let best = Math.max(1, Math.floor(written.length / 3)) + 1;
  let nearest: string | null = null;
  const low = written.toLowerCase();
  for (const word of words) {
    const begins = low.length > 3 && word.startsWith(low);
    const steps = begins ? 0 : distance(low, word);
    if (steps < best) [best, nearest] = [steps, word];
  }
  return nearest === null ? "" : `; did you mean "${nearest}"?`;
}

/** How many letters to insert, leave out, replace or swap with the next. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const here = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let steps = Math.min(
        above[column]! + 1,
        here[column - 1]! + 1,
        above[column - 1]! + (same ? 0 : 1),
      );
      if (
        row > 1 && column > 1 &&
        a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      ) steps = Math.min(steps, before[column - 2]! + 1);
      here.push(steps);
    }
    [before, above] = [above, here];
  }
  return above[b.length]!;
}
