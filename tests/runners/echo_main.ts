/** A runner's main module for tests: obeys commands. */
import type { RunnerPort } from "../../workers/_runner.ts";

export function main(
  port: RunnerPort,
  modules: Record<string, unknown>[],
  data: unknown,
): void {
  port.post(["main", modules.length, data]);
  port.onmessage = (message) => {
    if (!Array.isArray(message) || typeof message[0] !== "string") {
      return port.post(message);
    }
    const [command, argument] = message;
    switch (command) {
      case "close":
        return port.close();
      case "throw":
        throw new TypeError(argument);
      case "reject":
        Promise.reject(
          new RangeError(argument, { cause: new Error("the cause") }),
        );
        return;
      case "exit":
        return Deno.exit(argument);
      case "self.close":
        return (globalThis as unknown as { close(): void }).close();
      case "post and exit":
        for (let i = 0; i < 100; i++) port.post(i);
        (globalThis as unknown as { close(): void }).close?.();
        return;
      case "call":
        return port.post(
          (modules[0] as Record<string, () => unknown>)[argument]!(),
        );
      case "loop":
        port.post("looping");
        return port.flushed().then(() => {
          while (true);
        }) as unknown as void;
      case "memory": {
        const kept: unknown[] = [];
        while (true) kept.push(new Array(1_000_000).fill({}));
      }
    }
  };
}
