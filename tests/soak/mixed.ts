/**
 * An hour's worth of mixed load, compressed, with faults injected, in each mode:
 * `deno task soak:mixed [MINUTES]`, ten minutes unless you say otherwise, and
 * then the names of modes, all unless you say so. Linux only.
 */
// deno-lint-ignore-file no-console

import { type Outcome, pause } from "./_mixed_clients.ts";
import { Crowd } from "./_mixed_crowd.ts";
import { MixedProgram, type Usage } from "./_mixed_program.ts";

const MODES = [
  ["TCPServer"],
  ["ThreadingTCPServer", "shard"],
  ["ThreadingTCPServer", "relay"],
  ["ForkingTCPServer", "shard"],
  ["ForkingTCPServer", "relay"],
  ["ThreadingUDPServer", "relay"],
  ["ThreadingUnixStreamServer", "relay"],
  ["ForkingUnixStreamServer", "relay"],
  ["ForkingUnixDatagramServer", "relay"],
] as const;
const CLIENTS = 40;
const REPLICAS = 3;
const FAULT_EVERY_MS = 1_500;
/** How long before and after a suspension clients may find nobody. */
const MARGIN_MS = 1_500;
/** A report belongs to a client that ended within this time. */
const REPORTED_WITHIN_MS = 15_000;
/**
 * A replica that leaves gives clients which have connected 50 ms to say a first
 * word. On a busy machine some come too late.
 */
const SPEAKS_WITHIN_MS = 40;
/** The last is a client's whose request was half sent when a replica left. */
const CUTTING = new Set([
  "RunnerExitError",
  "ServerClosedError",
  "IncompleteReadError",
]);
/** More than this is growth; replicas differ by a few megabytes. */
const MOST_GROWTH_MB = 80;
/** Deno opens a pair of sockets for itself at some time. */
const DENOS_OWN = 2;

/** Injects faults into a server, one after the other. */
class Faults {
  readonly counts: Map<string, number> = new Map();
  readonly suspensions: [from: number, to: number][] = [];
  /** When replicas were killed. */
  readonly deaths: number[] = [];
  readonly problems: string[] = [];
  #program: MixedProgram;
  #crowd: Crowd;
  #version = 1;

  constructor(program: MixedProgram, crowd: Crowd) {
    this.#program = program;
    this.#crowd = crowd;
  }

  async inject(isForking: boolean, hasReplicas: boolean): Promise<void> {
    const faults: [weight: number, name: string][] = [
      [2, "suspend"],
      ...(hasReplicas
        ? [[2, "reload"], [2, "break"], [2, "recycle"], [0.7, "die"], [
          0.5,
          "stick",
        ]] as [number, string][]
        : []),
      ...(isForking ? [[0.5, "kill"]] as [number, string][] : []),
    ];
    let left = Math.random() *
      faults.reduce((sum, [weight]) => sum + weight, 0);
    const [, name] = faults.find(([weight]) => (left -= weight) < 0)!;
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    try {
      if (name === "die" || name === "kill") {
        this.deaths.push(performance.now());
      }
      await this.#do(name);
    } catch (error) {
      this.problems.push(`${name}: ${(error as Error).message}`);
    }
  }

  async #do(name: string): Promise<void> {
    const program = this.#program;
    if (name === "suspend") {
      const window: [number, number] = [performance.now(), Infinity];
      this.suspensions.push(window);
      await program.tell("suspend");
      await pause(300 + Math.random() * 500);
      await program.tell("resume");
      window[1] = performance.now();
    } else if (name === "reload") {
      await program.tell("reload", ++this.#version);
      const version = await this.#crowd.ask("version");
      if (version !== null && version !== String(this.#version)) {
        this.problems.push(`version ${version}, not ${this.#version}`);
      }
    } else if (name === "break") await program.tell("break", this.#version);
    else if (name === "recycle") await program.tell("recycle");
    else if (name === "kill") {
      const { children } = program;
      const pid = children[Math.floor(Math.random() * children.length)];
      if (pid !== undefined) Deno.kill(pid, "SIGKILL");
    } else await this.#crowd.ask(name);
  }
}

/** What is to be seen of one mode. */
interface Row {
  mode: string;
  clients: number;
  served: number;
  reported: number;
  "ended idle": number;
  refused: number;
  "at a suspend": number;
  "spoke late": number;
  "not begun": number;
  faults: string;
  "MB": string;
  descriptors: string;
  failures: string[];
}

async function run(
  [server, dispatch]: readonly [string, string?],
  ms: number,
): Promise<Row> {
  const dir = await Deno.makeTempDir({ prefix: "soak" });
  const plan = { server, dir, ...(dispatch !== undefined && { dispatch }) };
  const program = new MixedProgram(plan);
  const address = await program.address;
  // What is opened once for all comes first
  const hasReplicas = dispatch !== undefined;
  if (hasReplicas) await program.tell("reload", 1);
  await program.tell("suspend");
  await program.tell("resume");
  const start = await program.usage();
  const crowd = new Crowd(address, dir, CLIENTS);
  const faults = new Faults(program, crowd);
  const end = performance.now() + ms;
  let warm: Usage | null = null;
  while (performance.now() < end) {
    await pause(FAULT_EVERY_MS * (0.5 + Math.random()));
    await faults.inject(server.startsWith("Forking"), hasReplicas);
    if (warm === null && performance.now() > end - ms * 0.7) {
      warm = await program.usage();
    }
  }
  await crowd.stop();
  const failures = [...faults.problems];
  const last = await settle(program, start, hasReplicas);
  if (typeof last === "string") failures.push(last);
  const usage = await program.usage();
  const report = await program.close();
  const { code } = await program.child.status;
  if (code !== 0) failures.push(`exit code ${code}`);
  if (!report.includes('"aborted":[]')) failures.push(report);
  const judged = judge(
    crowd.outcomes,
    program,
    faults,
    `${server} ${dispatch}`,
  );
  failures.push(...judged.failures);
  if (usage.own > warm!.own + MOST_GROWTH_MB) {
    failures.push("memory has grown");
  }
  const left = (await Array.fromAsync(Deno.readDir(dir)))
    .map(({ name }) => name).sort();
  if (left.join() !== "handler.ts,tmp,version.ts") {
    failures.push(`left: ${left}`);
  }
  const temporary = (await Array.fromAsync(Deno.readDir(`${dir}/tmp`))).length;
  if (temporary > 0) failures.push(`${temporary} temporary files are left`);
  await Deno.remove(dir, { recursive: true });
  const counts = [...faults.counts].map(([name, count]) => `${count} ${name}`);
  return {
    mode: `${server} ${dispatch ?? ""}`,
    ...judged.row,
    faults: counts.join(" "),
    MB: [start, warm!, usage].map(({ megabytes, own }) =>
      `${megabytes.toFixed(0)} (${own.toFixed(0)})`
    ).join(" > "),
    descriptors: `${start.descriptors} > ${usage.descriptors}`,
    failures,
  };
}

/** Waits until all is as at the start. */
async function settle(
  program: MixedProgram,
  start: Usage,
  hasReplicas: boolean,
): Promise<string | null> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const { open, replicas = [] } = await program.stats();
    const usage = await program.usage();
    const seen = { open, replicas: replicas.map(({ state }) => state), usage };
    const isReady = open === 0 &&
      replicas.length === (hasReplicas ? REPLICAS : 0) &&
      replicas.every(({ state }) => state === "serving" || state === "ready") &&
      usage.descriptors <= start.descriptors + DENOS_OWN &&
      usage.threads <= start.threads && usage.children <= start.children;
    if (isReady) return null;
    if (performance.now() > deadline) {
      return `did not settle: ${JSON.stringify(seen)} at first ${
        JSON.stringify(start)
      }: ${program.files.join(" ")}`;
    }
    await pause(200);
  }
}

/** Says of each good client without its right answer why that may be. */
function judge(
  outcomes: Outcome[],
  { reports }: MixedProgram,
  { suspensions, deaths }: Faults,
  mode: string,
) {
  const failures: string[] = [];
  const row = {
    clients: outcomes.length,
    served: 0,
    reported: 0,
    "ended idle": 0,
    refused: 0,
    "at a suspend": 0,
    "spoke late": 0,
    "not begun": 0,
  };
  const hasPorts = !mode.includes("Unix");
  // Clients of a Unix socket have no address: a report is anybody's
  const unclaimed = reports.filter(({ name }) => CUTTING.has(name));
  const claim = (to: number) => {
    const i = unclaimed.findIndex(({ at }) => Math.abs(at - to) < 2_000);
    return i >= 0 && unclaimed.splice(i, 1).length > 0;
  };
  for (const outcome of outcomes) {
    const { kind, port, from, spoke, to, result, isGood } = outcome;
    if (result === "served") row.served++;
    else if (result === "ended") row["ended idle"]++;
    else if (!isGood && result !== "late") row.served++;
    else if (
      hasPorts
        ? reports.some((report) =>
          report.port === port && Math.abs(report.at - to) < REPORTED_WITHIN_MS
        )
        : result !== "wrong" && result !== "late" && claim(to)
    ) row.reported++;
    else if (
      suspensions.some(([begin, end]) =>
        from < end + MARGIN_MS && to > begin - MARGIN_MS
      ) && result !== "wrong" && result !== "late" && result !== "cut"
    ) row[result === "refused" ? "refused" : "at a suspend"]++;
    else if (result === "unbegun" && spoke - from > SPEAKS_WITHIN_MS) {
      row["spoke late"]++;
    } else if (
      // In a queue of its own, or accepted and not begun when its replica died
      result === "unbegun" && (mode === "ForkingTCPServer shard" ||
        mode === "ThreadingTCPServer shard" &&
          deaths.some((at) => at < to && at > from - MARGIN_MS))
    ) {
      row["not begun"]++;
    } else {
      failures.push(
        `${kind} of port ${port}: ${result} after ${
          (to - from).toFixed(0)
        } ms, spoke after ${(spoke - from).toFixed(0)} ms`,
      );
    }
  }
  return { row, failures };
}

const [minutes = "10", ...names] = Deno.args;
const chosen = MODES.filter((mode) =>
  names.length === 0 || names.includes(mode.join(":"))
);
const ms = Number(minutes) * 60_000 / chosen.length;
let isWell = true;
for (const mode of chosen) {
  const { failures, ...row } = await run(mode, ms);
  console.table([row]);
  for (const failure of failures.slice(0, 20)) console.log(`  ${failure}`);
  if (failures.length > 0) console.log(`  ${failures.length} failures`);
  isWell &&= failures.length === 0;
}
console.log(isWell ? "All well" : "Not well");
Deno.exit(isWell ? 0 : 1);
