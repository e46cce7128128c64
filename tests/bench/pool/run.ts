/**
 * Measures the ThreadPool beside its peers on Node: `deno run -A
 * tests/bench/pool/run.ts [--rounds N] [--milliseconds N] [ROW...]`.
 *
 * The peers are npm packages, found where the environment's NODE_PATH says;
 * those that are not there are left out. The pools run side by side and are
 * loaded in turns; a rate is the median of the rounds. Rates of two runs can't
 * be compared, ratios within one can.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { parseArgs } from "node:util";
import { compute } from "./tasks.mjs";

const ROWS = ["nil", "object", "20us", "1ms", "64KB"];
const CONTENDERS: Record<string, [command: string, ...args: string[]]> = {
  "ThreadPool": [Deno.execPath(), "run", "-A", "--no-check", "ours.ts"],
  "piscina": ["node", "piscina.mjs"],
  "workerpool": ["node", "workerpool.mjs"],
};

/** A pool in a program of its own. */
class Contender {
  readonly name: string;
  rates: number[] = [];
  #process: Deno.ChildProcess;
  #writer: WritableStreamDefaultWriter<Uint8Array>;
  #lines: AsyncIterator<string>;

  constructor(name: string, workers: number) {
    const [command, ...args] = CONTENDERS[name]!;
    this.name = name;
    this.#process = new Deno.Command(command, {
      args: [...args, String(workers)],
      cwd: new URL(".", import.meta.url),
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#writer = this.#process.stdin.getWriter();
    this.#lines = readLines(this.#process.stdout);
  }

  /** Whether the package is there. */
  async isReady(): Promise<boolean> {
    return (await this.#lines.next()).value === "ready";
  }

  async load(...order: (string | number)[]): Promise<void> {
    const line = new TextEncoder().encode(`${order.join(" ")}\n`);
    await this.#writer.write(line);
    this.rates.push(Number((await this.#lines.next()).value));
  }

  /** The median of the rates since the last call. */
  rate(): number {
    const rates = this.rates.splice(0).toSorted((a, b) => a - b);
    return rates[Math.floor(rates.length / 2)]!;
  }

  async end(): Promise<void> {
    await this.#writer.close().catch(() => {});
    await this.#lines.return?.();
    await this.#process.status;
  }
}

async function* readLines(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<string, void> {
  let text = "";
  for await (const chunk of stream) {
    text += new TextDecoder().decode(chunk);
    for (let end; (end = text.indexOf("\n")) >= 0;) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
}

/** How many rounds of `compute()` take 20 µs. */
function calibrate(): number {
  let best = Infinity;
  for (let round = 0; round < 30; round++) {
    const begun = performance.now();
    compute(100_000);
    best = Math.min(best, performance.now() - begun);
  }
  return Math.round(100_000 * 0.02 / best);
}

async function start(workers: number): Promise<Contender[]> {
  const contenders: Contender[] = [];
  for (const name of Object.keys(CONTENDERS)) {
    try {
      const contender = new Contender(name, workers);
      if (await contender.isReady()) {
        contenders.push(contender);
        continue;
      }
      await contender.end();
    } catch {
      // There is no Node.
    }
    console.log(`Left out: ${name} is not installed (see NODE_PATH)`);
  }
  return contenders;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "5" },
    milliseconds: { type: "string", default: "250" },
  },
});
const rows = positionals.length > 0 ? positionals : ROWS;
const computeRounds = calibrate();
for (const workers of [1, 2]) {
  const contenders = await start(workers);
  console.log(`workers: ${workers}; tasks a second, ThreadPool : each`);
  for (const row of rows) {
    for (const underWay of [1, 100]) {
      for (let round = -1; round < Number(values.rounds); round++) {
        for (const contender of contenders) {
          const time = values.milliseconds;
          await contender.load(row, underWay, time, computeRounds);
          // The first round warms up.
          if (round < 0) contender.rate();
        }
      }
      const rates = contenders.map((contender) => contender.rate());
      const cells = contenders.map(({ name }, index) => {
        const rate = rates[index]!.toLocaleString("en").padStart(9);
        return `${name} ${rate} (${(rates[0]! / rates[index]!).toFixed(2)})`;
      });
      console.log(`  ${row}, ${underWay}`.padEnd(14), cells.join("   "));
    }
  }
  await Promise.all(contenders.map((contender) => contender.end()));
}
