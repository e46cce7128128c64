/** Tries to speak for its worker. */
export {};

// A process has no scope to speak from.
const scope = globalThis as unknown as Partial<Worker>;
const forged = [0, 0, "forged", 0];

for (const message of [forged, [0, forged], 0, 1]) scope.postMessage?.(message);

/** Forges the result of every task, as far as that can be. */
export function forge(): string {
  for (let id = 0; id < 64; id++) scope.postMessage?.([id, 0, "forged", 0]);
  const post = MessagePort.prototype.postMessage;
  MessagePort.prototype.postMessage = function (_message: unknown) {
    Reflect.apply(post, this, [[0, [1, 0, "forged", 0]]]);
  };
  return "honest";
}
