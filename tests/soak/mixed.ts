/**
 * An hour's worth of mixed load, compressed, with faults injected, in each mode:
 * `deno task soak:mixed [MINUTES]`, ten minutes unless you say otherwise, and
 * then the names of modes, all unless you say so. Linux only.
 */
// deno-lint-ignore-file no-console

import { pause } from "./_mixed_clients.ts";
import { Crowd } from "./_mixed_crowd.ts";
import { judge, type Verdicts } from "./_mixed_judge.ts";
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
/** More than this is growth; replicas differ by a few megabytes. */
const MOST_GROWTH_MB = 80;
/** How often memory is looked at, to see whether it levels off. */
const LOOKS = 6;
/**
 * Deno opens a pair of sockets for itself at some time, and keeps an event loop's
 * two of the last Worker that ended by itself.
 */
const DENOS_OWN = 4;

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
        ? [[2, "reload"], [2, "break"], [0.7, "die"], [
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
    else if (name === "kill") {
      const { children } = program;
      const pid = children[Math.floor(Math.random() * children.length)];
      if (pid !== undefined) Deno.kill(pid, "SIGKILL");
    } else await this.#crowd.ask(name);
  }
}

/** What one mode shows. */
interface Row extends Verdicts {
  mode: string;
  faults: string;
  "MB": string;
  "heap MB": string;
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
  const usages = [start];
  while (performance.now() < end) {
    await pause(FAULT_EVERY_MS * (0.5 + Math.random()));
    await faults.inject(server.startsWith("Forking"), hasReplicas);
    if (performance.now() > end - ms * (1 - usages.length / LOOKS)) {
      usages.push(await program.usage());
    }
  }
  await crowd.stop();
  const failures = [...faults.problems];
  const last = await settle(program, start, hasReplicas);
  if (typeof last === "string") failures.push(last);
  const usage = await program.usage();
  usages.push(usage);
  const report = await program.close();
  const { code } = await program.child.status;
  if (code !== 0) failures.push(`exit code ${code}`);
  if (!report.includes('"aborted":[]')) failures.push(report);
  const { suspensions, deaths } = faults;
  const judged = judge(crowd.outcomes, {
    mode: `${server} ${dispatch}`,
    reports: program.reports,
    suspensions,
    deaths,
  });
  failures.push(...judged.failures);
  const warm = usages[Math.ceil(LOOKS / 3)] ?? start;
  if (usage.own > warm.own + MOST_GROWTH_MB) {
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
    MB: usages.map(({ megabytes, own }) =>
      megabytes === own
        ? own.toFixed(0)
        : `${megabytes.toFixed(0)} (${own.toFixed(0)})`
    ).join(" > "),
    "heap MB": usages.map(({ heap }) => heap.toFixed(1)).join(" > "),
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
