/** What runs in the runners under test: does as it is told. */
import type { RunnerPort } from "../../workers/runner/runner.ts";
import { loopForEver } from "../support/endless.ts";

type Scope = typeof globalThis & { close(): void };
type Command = [command: string, argument?: unknown];

const commands: Record<string, (port: RunnerPort, argument: unknown) => void> =
  {
    close: (port) => port.close(),
    throw: (_, message) => {
      throw new TypeError(String(message));
    },
    reject: (_, message) => {
      const cause = new Error("the cause");
      Promise.reject(new RangeError(String(message), { cause }));
    },
    throwString: (_, message) => {
      throw message;
    },
    throwHostile: () => {
      throw Object.defineProperty(new Error(), "message", {
        get() {
          throw this;
        },
      });
    },
    exit: (_, code) => Deno.exit(Number(code)),
    closeSelf: () => (globalThis as Scope).close(),
    claim: (port) => {
      globalThis.addEventListener("unhandledrejection", (event) => {
        event.preventDefault();
        port.post("claimed");
      });
      Promise.reject(new Error("Claimed by the program"));
    },
    countAndClose: (port, count) => {
      for (let index = 0; index < Number(count); index++) port.post(index);
      port.close();
    },
    countAndCloseSelf: (port, count) => {
      for (let index = 0; index < Number(count); index++) port.post(index);
      (globalThis as Scope).close();
    },
    loop: async (port) => {
      port.post("looping");
      await port.flushed();
      loopForEver();
    },
  };

export function main(
  port: RunnerPort,
  modules: Record<string, unknown>[],
  data: unknown,
): void {
  port.onmessage = (message) => {
    const [command, argument] = message as Command;
    if (command === "echo") port.post(argument);
    else commands[command]!(port, argument);
  };
  if (data === "throw at once") throw new TypeError("Thrown by main");
  port.post({ kind: port.kind, exports: modules.map(Object.keys), data });
}
