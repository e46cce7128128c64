/** Targets that say to their parent what they must not, as far as they can. */

interface Scope {
  name: string;
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown, transfer?: Transferable[]): void;
}

const scope = globalThis as unknown as Scope;
const heard: unknown[] = [];
scope.onmessage = ({ data }) => heard.push(data);
globalThis.addEventListener(
  "message",
  (event) => heard.push((event as MessageEvent).data),
);

const FORGERIES: unknown[] = [
  undefined,
  {},
  [],
  "forged",
  [0, "forged"],
  [4, { code: 0, reason: "returned" }],
  [scope.name, "exit", { code: 0, reason: "returned" }],
  [scope.name.split(" ").at(-1), "exit", null],
  { length: 1e9 },
];

/** Posts on the thread's scope, and to the thread itself. */
export async function forge(result: string): Promise<unknown[]> {
  for (const forgery of FORGERIES) {
    scope.postMessage?.(forgery);
    dispatchEvent(new MessageEvent("message", { data: forgery }));
  }
  MessagePort.prototype.postMessage = () => {};
  await new Promise((resolve) => setTimeout(resolve, 5));
  return [result, heard.length];
}

/** Sends bytes of its own in the place of what its channel sends. */
export function sendRaw(bytes: number[]): Promise<never> {
  const evil = new Uint8Array(bytes);
  Uint8Array.prototype.subarray = () => evil;
  return Promise.reject(new Error("sent"));
}

/** Returns more than a process with permissions of its own may. */
export function returnMuch(what: "numbers" | "map"): unknown {
  return what === "map"
    ? new Map([["x".repeat(100_000), 1]])
    : Array.from({ length: 2 ** 20 }, () => 0);
}
