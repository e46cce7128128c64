/** What the pools run. */

export function nil() {}

export function object({ id, name }) {
  return { id: id + 1, name, tags: ["a", "b"], ok: true };
}

export function compute(rounds) {
  let hash = 1;
  for (let round = 0; round < rounds; round++) {
    hash = Math.imul(hash, 31) + round | 0;
  }
  return hash;
}

export function bytes(buffer) {
  new Uint8Array(buffer)[0]++;
  return buffer;
}
