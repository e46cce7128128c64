/** Twenty threads, started in a loop and joined in a loop: it takes as long as the slowest. */
// deno-lint-ignore-file no-console

import { Thread } from "@socketserver/socketserver";

export async function sayNumber(number: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 10 * (20 - number)));
  console.log(`I am number ${number}`);
}

if (import.meta.main) {
  const threads: Thread[] = [];
  for (let number = 0; number < 20; number++) {
    const args = [number] as const;
    const module = import.meta.url;
    const thread = new Thread({ target: sayNumber, args, module });
    thread.start();
    threads.push(thread);
  }
  for (const thread of threads) await thread.join();
  console.log("done");
}
