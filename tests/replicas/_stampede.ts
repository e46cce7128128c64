/** Replicas that are killed at random under load. */

import { assertEquals } from "@std/assert";
import { collectErrors } from "../servers/_support.ts";
import { Deadly } from "./handlers_fixture.ts";
import type { Mode } from "./_support.ts";
import { pause, until, within } from "../support/waiting.ts";

const CLIENTS = 100;
const KILL_EVERY_MS = 100;

/** What became of a stampede. */
export interface Stampede {
  kills: number;
  echoes: number;
  /** Clients that lost their connection and came again. */
  lost: number;
  /** Requests that `handleError()` was told of. */
  told: number;
}

/**
 * Kills a replica every 100 ms while clients come and go, then sees to it that
 * everybody is served again.
 */
export async function stampede(
  mode: Mode,
  duration: number,
): Promise<Stampede> {
  await using server = mode.open(Deadly, { workers: 3, shutdownTimeout: 500 });
  const errors = collectErrors(server);
  server.serveForever();
  await server.ready;
  const result = { kills: 0, echoes: 0, lost: 0, told: 0 };
  let over = false;

  async function ask(word: string): Promise<string | null> {
    using client = await mode.connect(server);
    await client.receive();
    await client.send(`${word}\n`);
    return await client.receive();
  }

  async function come(): Promise<void> {
    while (!over) {
      try {
        if (await ask("echo") === "alive") result.echoes++;
        else result.lost++;
      } catch {
        result.lost++;
      }
      // A hundred that never pause would leave no time for anything else
      await pause(50);
    }
  }

  const clients = Array.from({ length: CLIENTS }, come);
  const killed: Promise<void>[] = [];
  const how = mode.runner === "process" ? "kill" : "exit";
  const killing = setInterval(() => {
    result.kills++;
    killed.push(ask(how).then(() => {}, () => {}));
  }, KILL_EVERY_MS);
  try {
    await pause(duration);
    await until(() => result.kills >= 5 && errors.length > 0, "five kills");
    // On a busy machine a replica may take longer to start than to be killed
    clearInterval(killing);
    await until(() => result.echoes > 100, "a hundred echoes");
  } finally {
    clearInterval(killing);
    over = true;
  }
  await within("the clients", Promise.all([...clients, ...killed]));
  await until(
    async () => (await server.stats()).workers === 3,
    "all replicas to be back",
  );
  for (let i = 0; i < 50; i++) {
    assertEquals(await within("an echo", ask("echo")), "alive");
  }
  await until(
    async () => (await server.stats()).open === 0,
    "nothing to be open",
  );
  return { ...result, told: errors.length };
}
