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
  // `steps[i][j]` leads from the first i letters of `a` to the first j of `b`
  const steps = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const [above, row] = [steps[i - 1]!, [i]];
    for (let j = 1; j <= b.length; j++) {
      const changed = a[i - 1] === b[j - 1] ? 0 : 1;
      const isSwap = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row[j] = Math.min(
        above[j]! + 1,
        row[j - 1]! + 1,
        above[j - 1]! + changed,
        isSwap ? steps[i - 2]![j - 2]! + 1 : Infinity,
      );
    }
    steps.push(row);
  }
  return steps[a.length]![b.length]!;
}
