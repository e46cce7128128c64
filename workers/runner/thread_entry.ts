/**
 * The first of this package's modules in a thread.
 *
 * @module
 */

import { type ModuleLoader, Port } from "./entry.ts";
import { FRAME, type Frame, type Start, told } from "../line/dialect.ts";
import { type RunnerMain, webLocks } from "./runner.ts";
import { joinLiving, type LivingRecord } from "../locks/_living.ts";
import { setStopWord } from "../locks/_checkpoint.ts";

/** The first message to a thread, the only one on its own scope. */
export interface WorkerStart extends Start {
  /** The thread's end of the private line. */
  line: MessagePort;
  /** The lock that the thread holds while it lives. */
  lock: string;
  /** Tells the thread's waits that it was terminated. */
  stopWords: Int32Array;
  /** Who lives in this program. */
  living: LivingRecord;
  /** Whether it has permissions of its own. */
  isConfined: boolean;
}

function refuseSignals(): never {
  throw new Deno.errors.NotCapable(
    "Cannot listen to a signal in a thread with permissions of its own: it " +
      "would change what the signal does to the whole program",
  );
}

/** An input that is at its end. */
const NO_INPUT: typeof Deno.stdin = {
  read: () => Promise.resolve(null),
  readSync: () => null,
  close() {},
  get readable() {
    return new Blob([]).stream();
  },
  setRaw() {},
  isTerminal: () => false,
};

/**
 * Takes away what Deno gives a thread without a permission and what concerns the
 * whole program. It guards against mistakes: `node:` modules still have most.
 */
function confine(): void {
  told.isConfined = true;
  // They can be listed and stolen: all others would count as dead
  const gone = { value: undefined };
  Object.defineProperty(Object.getPrototypeOf(navigator), "locks", gone);
  Object.defineProperty(Deno, "stdin", { value: NO_INPUT });
  Deno.addSignalListener = refuseSignals;
}

function run(
  start: WorkerStart,
  modules: ModuleLoader[],
  main: RunnerMain,
): void {
  const scope = globalThis as unknown as { close(): void };
  const { line, lock, stopWords, living, isConfined } = start;
  setStopWord(stopWords);
  joinLiving(living);
  // Bound before the user's code is loaded, which may change what it can reach
  const post = line.postMessage.bind(line) as (
    frame: Frame,
    transfer?: Transferable[],
  ) => void;
  const leave = scope.close.bind(globalThis);
  const exit = Deno.exit;
  const port = new Port(
    {
      kind: "thread",
      backlog: () => 0,
      send: (kind, value, transfer) => {
        if (transfer === undefined) post([kind, value]);
        else post([kind, value], transfer);
      },
      flushed: () => Promise.resolve(),
      sendNow: () => {},
      leave,
    },
    modules,
    main,
  );
  // Both end a thread without a word otherwise.
  scope.close = () => port.end({ code: 0, reason: "exit" });
  Deno.exit = (code) => {
    port.end({ code: code ?? Deno.exitCode, reason: "exit" });
    return exit(code);
  };
  line.onmessage = ({ data }) => port.receive(data[0], data[1]);
  // Held until the thread is gone, however it went: that is how the parent
  // learns of it.
  webLocks().request(lock, {}, () => {
    post([FRAME.hello]);
    return new Promise(() => {});
  }).catch(() => {});
  if (isConfined) confine();
  port.receive(FRAME.start, start);
}

/**
 * Runs a thread's modules.
 *
 * @param modules The user's modules.
 * @param main What this package runs there.
 */
export function enter(modules: ModuleLoader[], main: RunnerMain): void {
  // The one message is taken before the user's code is loaded; from then on
  // the scope's messages are that code's own.
  globalThis.addEventListener(
    "message",
    (event) => run((event as MessageEvent).data, modules, main),
    { once: true },
  );
}
