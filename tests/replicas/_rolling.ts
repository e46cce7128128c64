/** Clients that never pause, while all replicas are replaced. */

import { writeAll } from "../servers/_support.ts";
import { dial } from "../servers/_support.ts";
import { LineEcho } from "./handlers_fixture.ts";
import type { Mode } from "./_support.ts";

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
export async function roll(mode: Mode, count: number): Promise<Rolling> {
  await using server = mode.open(LineEcho, { workers: 2 });
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
