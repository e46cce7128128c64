/** Clients that come and go while all replicas are replaced. */

import type { ReplicaOptions } from "../../mod.ts";
import { dial, writeAll } from "../servers/_support.ts";
import { LineEcho, Taking } from "./handlers_fixture.ts";
import type { Mode, ReplicaServer } from "./_support.ts";
import { pause } from "../support/waiting.ts";

const CLIENTS = 8;
const encoder = new TextEncoder();
const buffer = () => new Uint8Array(16);

/** What became of the connections. */
export interface Rolling {
  served: number;
  lost: string[];
  rounds: number;
}

/** Makes `count` connections while replicas are replaced again and again. */
export async function roll(
  mode: Mode,
  count: number,
  options: ReplicaOptions = {},
): Promise<Rolling> {
  await using server = mode.open(LineEcho, { workers: 2, ...options });
  server.serveForever();
  await server.ready;
  const result: Rolling = { served: 0, lost: [], rounds: 0 };
  let begun = 0;

  async function connectOn(): Promise<void> {
    while (begun < count || result.rounds === 0) {
      begun++;
      try {
        using conn = await dial(server);
        await writeAll(conn, encoder.encode("hello\n"));
        const n = await conn.read(buffer());
        if (n === 6) result.served++;
        else result.lost.push(`read ${n}`);
      } catch (error) {
        result.lost.push((error as Error).name);
      }
    }
  }

  let over = false;
  const clients = Promise.all(Array.from({ length: CLIENTS }, connectOn))
    .then(() => over = true);
  while (!over) {
    await server.reload();
    result.rounds++;
  }
  await clients;
  return result;
}

/** How long clients take from connecting to their first byte. */
const LATENCIES_MS = [0, 150, 400];
const UPLOAD_MS = 2_000;
const UPLOAD_PARTS = 20;
/** Clients of each kind at a time. */
const EACH = 4;

/** What became of the clients of one kind. */
export interface Patient {
  served: number;
  lost: string[];
}

/**
 * Replaces replicas again and again for a while, for clients that take their
 * time to speak, and for some that send for two seconds.
 *
 * @returns The rounds, and what became of each kind of client.
 */
export async function rollPatiently(
  mode: Mode,
  ms: number,
): Promise<{ rounds: number; clients: Record<string, Patient> }> {
  await using server = mode.open(Taking, { workers: 2 });
  server.serveForever();
  await server.ready;
  const clients: Record<string, Patient> = {};
  const end = performance.now() + ms;
  let rounds = 0;
  const kinds: [string, (server: ReplicaServer) => Promise<void>][] = [
    ...LATENCIES_MS.map((latency): typeof kinds[number] => [
      `${latency} ms`,
      (server) => speak(server, latency),
    ]),
    ["upload", upload],
  ];

  async function comeOn(name: string, visit: typeof upload): Promise<void> {
    const patient = clients[name] ??= { served: 0, lost: [] };
    while (performance.now() < end || rounds < 2) {
      const since = performance.now();
      try {
        await visit(server);
        patient.served++;
      } catch (error) {
        const took = (performance.now() - since).toFixed(0);
        patient.lost.push(`${(error as Error).message} after ${took} ms`);
      }
    }
  }

  const visits = kinds.flatMap(([name, visit]) =>
    Array.from({ length: EACH }, () => comeOn(name, visit))
  );
  let isOver = false;
  const all = Promise.all(visits).then(() => isOver = true);
  while (!isOver) {
    await server.reload();
    rounds++;
  }
  await all;
  return { rounds, clients };
}

async function speak(server: ReplicaServer, latency: number): Promise<void> {
  using conn = await dial(server);
  if (latency > 0) await pause(latency);
  await writeAll(conn, "hello\n");
  await expectLine(conn, "hello\n");
}

async function upload(server: ReplicaServer): Promise<void> {
  using conn = await dial(server);
  const part = new Uint8Array(500);
  const head = `put ${UPLOAD_PARTS * part.length}\n`;
  await writeAll(conn, head);
  for (let i = 0; i < UPLOAD_PARTS; i++) {
    await pause(UPLOAD_MS / UPLOAD_PARTS);
    await writeAll(conn, part);
  }
  await expectLine(conn, head);
}

async function expectLine(conn: Deno.Conn, line: string): Promise<void> {
  let text = "";
  const bytes = new Uint8Array(100);
  while (text.length < line.length) {
    const count = await conn.read(bytes);
    if (count === null) throw new Error(`the end at "${text}"`);
    text += new TextDecoder().decode(bytes.subarray(0, count));
  }
  if (text !== line) throw new Error(`"${text}"`);
}
