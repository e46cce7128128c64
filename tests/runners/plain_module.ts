export const first = 1;
export function second(): number {
  return 2;
}
