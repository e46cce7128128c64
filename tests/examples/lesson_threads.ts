/** The lesson's threads: two with names, then twenty, started and joined. */
// deno-lint-ignore-file no-console

import { Thread } from "@socketserver/socketserver/workers";

export async function sayHi(number: number, ms: number): Promise<void> {
  console.log(`running on number: ${number}`);
  await new Promise((resolve) => setTimeout(resolve, ms));
}

if (import.meta.main) {
  const module = import.meta.url;
  const ms = Number(Deno.args[0] ?? 3_000);
  const t1 = new Thread({ target: sayHi, args: [1, ms], module });
  const t2 = new Thread({ target: sayHi, args: [2, ms], module });
  t1.start();
  t2.start();
  console.log(t1.getName());
  console.log(t2.getName());
  const threads: Thread[] = [t1, t2];
  for (let i = 0; i < 20; i++) {
    const t = new Thread({ target: sayHi, args: [i, ms], module });
    t.start();
    threads.push(t);
  }
  for (const t of threads) await t.join();
  console.log("----done--");
}
