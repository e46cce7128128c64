/** The server program of the mixed soak, as its clients' program sees it. */

import type { ServerStats } from "../../mod.ts";
import type { Plan } from "./_mixed_server.ts";

const PROGRAM = new URL("./_mixed_server.ts", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

/** A report of the server: the client's number, the error's name, the time. */
export interface Report {
  client: number;
  name: string;
  at: number;
}

/** What the server's process and its children hold. */
export interface Usage {
  megabytes: number;
  /** Without the children's. */
  own: number;
  /** What its heap holds after a collection. */
  heap: number;
  descriptors: number;
  threads: number;
  children: number;
}

/** A server in a program of its own. */
export class MixedProgram {
  readonly reports: Report[] = [];
  readonly child: Deno.ChildProcess;
  /** The end of its serving, as `serverClose()` reported it. */
  readonly ended: Promise<string>;
  #closing: PromiseWithResolvers<string> = Promise.withResolvers();
  #address: PromiseWithResolvers<Deno.Addr> = Promise.withResolvers();
  #input: WritableStreamDefaultWriter<Uint8Array>;
  #asked: Map<number, PromiseWithResolvers<unknown>> = new Map();
  #lastId = 0;

  constructor(plan: Plan) {
    Deno.mkdirSync(`${plan.dir}/tmp`);
    this.child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", "--quiet", "--no-check", "--config", CONFIG],
        ...["--v8-flags=--expose-gc", PROGRAM, JSON.stringify(plan)],
      ],
      env: { TMPDIR: `${plan.dir}/tmp` },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#input = this.child.stdin.getWriter();
    this.ended = this.#closing.promise;
    void this.#read();
  }

  /** Where it serves. */
  get address(): Promise<Deno.Addr> {
    return this.#address.promise;
  }

  /** Has it do something. */
  async tell(word: string, argument: number | string = ""): Promise<unknown> {
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<unknown>();
    this.#asked.set(id, answer);
    const line = `${id} ${word} ${argument}\n`;
    await this.#input.write(new TextEncoder().encode(line));
    return await answer.promise;
  }

  /** Its counts. */
  async stats(): Promise<ServerStats> {
    return await this.tell("stats") as ServerStats;
  }

  /** Closes it; its report. */
  async close(): Promise<string> {
    await this.#input.close();
    return await this.ended;
  }

  /** What it and its children hold now. */
  async usage(): Promise<Usage> {
    const { heapUsed } = await this.tell("gc") as Deno.MemoryUsage;
    return { ...usageOf(this.child.pid), heap: heapUsed / 1_048_576 };
  }

  /** The files that its process has open. */
  get files(): string[] {
    const folder = `/proc/${this.child.pid}/fd`;
    return namesIn(folder).map((name) =>
      Deno.readLinkSync(`${folder}/${name}`)
    );
  }

  /** Its children that are replicas. */
  get children(): number[] {
    return childrenOf(this.child.pid).filter((pid) =>
      commandOf(pid).startsWith("deno")
    );
  }

  async #read(): Promise<void> {
    let text = "";
    const chunks = this.child.stdout.pipeThrough(new TextDecoderStream());
    for await (const chunk of chunks) {
      text += chunk;
      for (let at; (at = text.indexOf("\n")) >= 0;) {
        this.#take(text.slice(0, at));
        text = text.slice(at + 1);
      }
    }
    const error = new Error("The server's program has ended");
    this.#closing.reject(error);
    this.#address.reject(error);
    for (const { reject } of this.#asked.values()) reject(error);
  }

  #take(line: string): void {
    const [word, first, ...rest] = line.split(" ");
    const value = rest.join(" ");
    if (word === "report") {
      const report = {
        client: Number(first),
        name: value,
        at: performance.now(),
      };
      this.reports.push(report);
    } else if (word === "closed") this.#closing.resolve(line.slice(7));
    else if (word === "done" || word === "failed") {
      const asked = this.#asked.get(Number(first))!;
      this.#asked.delete(Number(first));
      if (word === "done") asked.resolve(JSON.parse(value));
      else asked.reject(new Error(value));
    } else this.#address.resolve(JSON.parse(line));
  }
}

function childrenOf(pid: number): number[] {
  return namesIn(`/proc/${pid}/task`).flatMap((name) =>
    textOf(`/proc/${pid}/task/${name}/children`).split(" ").filter(Boolean)
      .map(Number)
  );
}

function commandOf(pid: number): string {
  return textOf(`/proc/${pid}/comm`);
}

function usageOf(pid: number): Omit<Usage, "heap"> {
  const status = textOf(`/proc/${pid}/status`);
  const own = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1_024;
  const usage = {
    megabytes: own,
    own,
    descriptors: namesIn(`/proc/${pid}/fd`).length,
    threads:
      namesIn(`/proc/${pid}/task`).filter((name) =>
        textOf(`/proc/${pid}/task/${name}/comm`).startsWith("worker-")
      ).length,
    children: 0,
  };
  for (const child of childrenOf(pid)) {
    const { megabytes, descriptors, children } = usageOf(child);
    usage.megabytes += megabytes;
    usage.descriptors += descriptors;
    usage.children += children + 1;
  }
  return usage;
}

/** What ends while it is looked at counts as nothing. */
function namesIn(path: string): string[] {
  try {
    return [...Deno.readDirSync(path)].map(({ name }) => name);
  } catch {
    return [];
  }
}

function textOf(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
