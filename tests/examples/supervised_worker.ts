/** Keeps a process running without a server: when it ends, another starts. */

// deno-lint-ignore-file no-console
import { Process, RunnerExitError } from "@socketserver/socketserver";

/** The work: it ends the process at its first try. */
export function work(attempt: number): string {
  if (attempt === 1) Deno.exit(3);
  return `done at attempt ${attempt}`;
}

export async function supervise(attempts: number): Promise<string> {
  for (let attempt = 1;; attempt++) {
    const module = import.meta.url;
    const process = new Process({ target: work, args: [attempt], module });
    process.start();
    try {
      return await process.result;
    } catch (error) {
      if (!(error instanceof RunnerExitError) || attempt === attempts) {
        throw error;
      }
    }
  }
}

if (import.meta.main) console.log(await supervise(5));
