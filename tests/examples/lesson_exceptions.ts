/** The lesson's first part, exceptions. `printf '1\n2\n' | deno run lesson_exceptions.ts` */
// deno-lint-ignore-file no-console

import { BufferedReader } from "@socketserver/socketserver";

const INTEGER_REGEXP = /^[+-]?\d+$/;

class ArithmeticError extends Error {
  override name = "ArithmeticError";
}

class DemoError extends Error {
  override name = "DemoError";
}

/** JavaScript gives `undefined` where Python raises: these throw. */
function toInteger(text: string): number {
  if (INTEGER_REGEXP.test(text)) return Number(text);
  throw new SyntaxError(`"${text}" is not an integer`); // ValueError
}

function add(a: number, b: number): number {
  const sum = a + b;
  if (Number.isSafeInteger(sum)) return sum;
  throw new ArithmeticError(`${sum} is not exact`);
}

function itemAt<T>(list: T[], index: number): T {
  if (index in list) return list[index]!;
  throw new RangeError(`no item ${index} among ${list.length}`); // IndexError
}

function valueOf<T>(map: Map<string, T>, key: string): T {
  if (map.has(key)) return map.get(key)!;
  throw new ReferenceError(`no key "${key}"`); // KeyError
}

function explain(work: () => unknown): void {
  try {
    console.log(work());
    console.log("OK"); // Python's `else`
  } catch (error) {
    if (error instanceof ArithmeticError) {
      console.log("Arithmetic:", error.message);
    } else if (error instanceof RangeError) {
      console.log("Index:", error.message);
    } else if (error instanceof ReferenceError) {
      console.log("Key:", error.message);
    } else if (error instanceof SyntaxError) {
      console.log("Value:", error.message);
    } else console.log(`${error}`); // anything else
  } finally {
    console.log("Over");
  }
}

if (import.meta.main) {
  const input = new BufferedReader(Deno.stdin);
  while (true) {
    console.log("Two numbers, please:");
    const [one, other] = [await input.readLine(), await input.readLine()];
    if (one === null || other === null) break;
    explain(() => add(toInteger(one), toInteger(other)));
  }
  explain(() => itemAt(["a", "b", "c", "d"], 10));
  explain(() => valueOf(new Map([["name", "Ann"]]), "age"));
  explain(() => {
    throw new DemoError("made for this lesson");
  });
}
