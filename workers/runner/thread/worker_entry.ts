/**
 * The first of this package's modules in a thread.
 *
 * @module
 */
import {
  type ModuleLoader,
  Port,
  runMain,
  tellExit,
  watchUncaught,
} from "../entry.ts";
import {
  type ExitRecord,
  FRAME,
  type Frame,
  ProtocolError,
  type Start,
} from "../protocol.ts";
import { setStopWord } from "../../locks/_stop_word.ts";
import { webLocks } from "./web_locks.ts";

/** The first message to a thread, the only one on its own scope. */
export interface WorkerStart extends Start {
  /** The thread's end of the private line. */
  line: MessagePort;
  /** The lock that the thread holds while it lives. */
  lock: string;
  /** Tells the thread's waits that it was terminated. */
  stopWords: Int32Array;
}

interface WorkerScope {
  close(): void;
}

function run(
  start: WorkerStart,
  modules: ModuleLoader[],
  main: ModuleLoader,
): void {
  const scope = globalThis as unknown as WorkerScope;
  const { line, lock, stopWords } = start;
  setStopWord(stopWords);
  // Bound before the user's code is loaded, which may change what it can reach
  const send = line.postMessage.bind(line) as (
    frame: Frame,
    transfer?: Transferable[],
  ) => void;
  const close = scope.close.bind(globalThis);
  const exit = Deno.exit;
  let ended = false;
  function end(record: ExitRecord): void {
    if (!ended) tellExit((exit) => send([FRAME.exit, exit]), record);
    ended = true;
    close();
  }
  // Both end a thread without a word otherwise.
  scope.close = () => end({ code: 0, reason: "exit" });
  Deno.exit = (code) => {
    end({ code: code ?? Deno.exitCode, reason: "exit" });
    return exit(code);
  };
  watchUncaught(end);
  const port = new Port({
    kind: "thread",
    backlog: () => 0,
    post: (message, transfer) => {
      if (ended) return;
      if (transfer === undefined) send([FRAME.message, message]);
      else send([FRAME.message, message], transfer);
    },
    flushed: () => Promise.resolve(),
    end,
  });
  line.onmessage = ({ data }) => {
    if (data?.[0] === FRAME.message) return port.inbox.deliver(data[1]);
    throw new ProtocolError("A frame is unknown or out of order");
  };
  // Held until the thread is gone, however it went: that is how the parent
  // learns of it.
  webLocks().request(lock, {}, () => {
    send([FRAME.hello]);
    return new Promise(() => {});
  }).catch(() => {});
  runMain({
    modules,
    main,
    port,
    kind: FRAME.start,
    value: start,
    ready: () => ended || send([FRAME.ready]),
    end,
  });
}

/**
 * Runs a thread's modules.
 *
 * @param modules The user's modules.
 * @param main The module of this package that exports `main`.
 */
export function enter(
  modules: ModuleLoader[],
  main: ModuleLoader,
): void {
  // The one message is taken before the user's code is loaded; from then on
  // the scope's messages are that code's own.
  globalThis.addEventListener(
    "message",
    (event) => run((event as MessageEvent).data, modules, main),
    { once: true },
  );
}
