/**
 * The first of this package's modules in a thread.
 *
 * @module
 */

import { type ModuleLoader, Port } from "./entry.ts";
import { FRAME, type Frame, type Start } from "../line/dialect.ts";
import { webLocks } from "./runner.ts";
import { setStopWord } from "../locks/_stop_word.ts";

/** The first message to a thread, the only one on its own scope. */
export interface WorkerStart extends Start {
  /** The thread's end of the private line. */
  line: MessagePort;
  /** The lock that the thread holds while it lives. */
  lock: string;
  /** Tells the thread's waits that it was terminated. */
  stopWords: Int32Array;
}

function run(
  start: WorkerStart,
  modules: ModuleLoader[],
  main: ModuleLoader,
): void {
  const scope = globalThis as unknown as { close(): void };
  const { line, lock, stopWords } = start;
  setStopWord(stopWords);
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
  port.receive(FRAME.start, start);
}

/**
 * Runs a thread's modules.
 *
 * @param modules The user's modules.
 * @param main The module of this package that exports `main`.
 */
export function enter(modules: ModuleLoader[], main: ModuleLoader): void {
  // The one message is taken before the user's code is loaded; from then on
  // the scope's messages are that code's own.
  globalThis.addEventListener(
    "message",
    (event) => run((event as MessageEvent).data, modules, main),
    { once: true },
  );
}
