/**
 * Draws the README's chart.
 *
 * @module
 */

import type { Result } from "./results.ts";

/** The rows of the chart: their titles, and which contender is ours. */
const ROWS: [row: string, title: string, ours: string][] = [
  ["tcp", "TCP echo", "TCPServer, EchoHandler"],
  ["connections", "a connection for each request", "TCPServer, EchoHandler"],
  ["lines", "lines", "TCPServer, rfile and wfile"],
  ["pipelined", "lines, 16 at once", "TCPServer, rfile and wfile"],
  ["udp", "UDP echo", "UDPServer, EchoHandler"],
  ["unix", "Unix echo", "UnixStreamServer, EchoHandler"],
  [
    "shard-process",
    "two children, beside two loops",
    "ForkingTCPServer, shard, workers: 2",
  ],
  ["relay", "relay to two threads", "ThreadingTCPServer, relay, workers: 2"],
  ["relay", "relay to two children", "ForkingTCPServer, relay, workers: 2"],
];
const PEER_REGEXP = /^(Node net|node:net of Bun|Python|Go|a Deno loop, pipeTo)/;
const BAR = 14;
const LEFT = 250;
/** The length of a ratio of 1. */
const UNIT = 300;
/** Longer bars are cut. */
const MOST = 1.3;
/** Where the figures end. */
const RIGHT = LEFT + MOST * UNIT + 50;

const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .ours { fill: #0969da } .peer { fill: #afb8c1 }
  .one { stroke: #57606a; stroke-dasharray: 3 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .ours { fill: #58a6ff } .peer { fill: #484f58 }
    .one { stroke: #8b949e }
  }`;

function bar({ name, ratio }: Result, y: number, isOurs: boolean): string {
  const width = Math.min(ratio, MOST) * UNIT;
  const middle = y + BAR - 3;
  return `<text x="${LEFT - 8}" y="${middle}" text-anchor="end">${name}</text>
<rect class="${isOurs ? "ours" : "peer"}" x="${LEFT}" y="${y + 1}" width="${
    width.toFixed(0)
  }" height="${BAR - 2}"/>
<text x="${RIGHT}" y="${middle}" text-anchor="end">${ratio.toFixed(2)}</text>`;
}

/** The rows as bars of ratios, for bright and dark pages. */
export function drawChart(rows: Record<string, Result[]>): string {
  const parts: string[] = [];
  let y = 40;
  for (const [name, title, nameOfOurs] of ROWS) {
    const found = rows[name];
    if (found === undefined) continue;
    parts.push(
      `<text x="8" y="${y}" font-weight="bold">${title}</text>`,
    );
    y += 6;
    const [, ...others] = found;
    const ours = others.find((result) => result.name === nameOfOurs);
    const peers = others.filter((result) => PEER_REGEXP.test(result.name));
    for (const result of ours === undefined ? peers : [ours, ...peers]) {
      parts.push(bar(result, y, result === ours));
      y += BAR;
    }
    y += 22;
  }
  const one = LEFT + UNIT;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${
    LEFT + UNIT * MOST + 60
  } ${y}" role="img" aria-label="Messages a second beside a hand-written Deno loop">
<style>${STYLE}
</style>
<text x="${one}" y="14" text-anchor="middle">a hand-written Deno loop = 1</text>
<line class="one" x1="${one}" y1="20" x2="${one}" y2="${y - 20}"/>
${parts.join("\n")}
</svg>
`;
}
