/**
 * Measures the servers beside whatever peers the machine has: `deno task bench
 * [--rounds N] [--seconds N] [--json PATH] [--chart PATH] [ROW...]`.
 *
 * The servers of a row run side by side and are loaded in turns, so that what
 * else the machine does hits all of them. A line shows messages a second; the
 * ratio to the row's first contender, and the two between which half of the
 * rounds' ratios lie; the processor time that the server takes for a message,
 * as a ratio too; and in what time 50, 99 and 99.9 % of the messages were
 * answered. Rates of two runs can't be compared, ratios within one can. The row
 * "limit" shows how much more the load generator can take than servers give.
 *
 * Pools are measured by `deno task bench:pool`, the starts of threads and
 * processes by `deno run -A tests/bench/start.ts`.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { parseArgs } from "node:util";
import { drawChart } from "./chart.ts";
import { line, type Result, summarize } from "./results.ts";
import { type Row, ROWS } from "./rows.ts";
import { load, start, type Started, stop } from "./servers.ts";
import { findTools, type Tools } from "./tools.ts";

const WARM_UP_SECONDS = 0.5;
/** Above 32768 the ports collide with the clients' own. */
const FIRST_PORT = 21_000;

interface Plan {
  rounds: number;
  seconds: number;
  dir: string;
  tools: Tools;
}

let port = FIRST_PORT;

async function measure(row: Row, plan: Plan): Promise<Result[]> {
  const { rounds, seconds, dir, tools } = plan;
  const servers: Started[] = [];
  try {
    for (const contender of row.contenders) {
      if (!tools.has(contender.command)) continue;
      const at = row.transport === "unix" ? `${dir}/${port++}` : `${port++}`;
      servers.push(await start(contender, at, tools));
    }
    let rate = 0;
    for (const server of servers) {
      const { rate: highest } = await load(tools, row, server, WARM_UP_SECONDS);
      if (row.halfRate) rate ||= highest / 2;
    }
    for (let round = 0; round < rounds; round++) {
      for (const server of servers) {
        server.readings.push(await load(tools, row, server, seconds, rate));
      }
    }
    return summarize(servers);
  } finally {
    await Promise.all(servers.map(stop));
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "15" },
    seconds: { type: "string", default: "0.3" },
    json: { type: "string" },
    chart: { type: "string" },
  },
});
const dir = await Deno.makeTempDir();
try {
  const tools = await findTools(dir);
  if (!tools.has("loadgen")) {
    console.log("No C compiler: load comes from Deno, which blurs the ratios");
  }
  const plan: Plan = {
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    dir,
    tools,
  };
  const rows: Record<string, Result[]> = {};
  for (const row of ROWS) {
    if (positionals.length > 0 && !positionals.includes(row.name)) continue;
    if (row.generator !== "loadgen" && !tools.has(row.generator)) continue;
    const results = rows[row.name] = await measure(row, plan);
    const { name, connections, size, pipeline } = row;
    console.log(
      `${name} (${connections} clients, ${pipeline} × ${size} bytes)`,
    );
    for (const result of results) console.log(line(result));
  }
  const report = {
    date: new Date().toISOString(),
    deno: Deno.version.deno,
    cores: navigator.hardwareConcurrency,
    rounds: plan.rounds,
    seconds: plan.seconds,
    rows,
  };
  if (values.json !== undefined) {
    const text = `${JSON.stringify(report, null, 2)}\n`;
    await Deno.writeTextFile(values.json, text);
  }
  if (values.chart !== undefined) {
    await Deno.writeTextFile(values.chart, drawChart(rows));
  }
} finally {
  await Deno.remove(dir, { recursive: true });
}
