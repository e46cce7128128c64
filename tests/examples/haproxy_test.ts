/** Two servers behind a real HAProxy: one is reloaded, one is killed, under load. */

import { assertEquals, assertMatch } from "@std/assert";
import { needs, Program } from "../support/programs.ts";
import { freePort } from "../support/sockets.ts";

/** It takes one or two seconds; on a busy machine, programs start slowly. */
const GUARD_MS = 30_000;
const CLIENTS = 8;
const PROGRAM = new URL("./balanced.ts", import.meta.url).pathname;

function start(command: string, ...args: string[]): Program {
  const options = {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  } as const;
  return new Program(new Deno.Command(command, options));
}

/** Starts one of our servers; gives its port. */
async function startServer(
  name: string,
): Promise<[program: Program, port: string]> {
  const args = ["run", "-A", "--no-check", PROGRAM, name, "0"];
  const program = start(Deno.execPath(), ...args);
  return [program, (await program.readLine())!];
}

/** Starts HAProxy in front of servers; gives its port. */
async function startHaproxy(
  folder: string,
  servers: Record<string, string>,
): Promise<[program: Program, port: number]> {
  const port = freePort();
  const lines = Object.entries(servers).map(([name, port]) =>
    `  server ${name} 127.0.0.1:${port} send-proxy-v2 check inter 100 fall 1 rise 1`
  );
  const file = `${folder}/haproxy.cfg`;
  await Deno.writeTextFile(
    file,
    `global
  stats socket ${folder}/admin.sock
defaults
  mode tcp
  timeout connect 2s
  timeout client 10s
  timeout server 10s
  retries 3
  option redispatch 1
frontend clients
  bind 127.0.0.1:${port}
  default_backend service
backend service
  balance roundrobin
  option tcp-check
  tcp-check send ping\\n
  tcp-check expect string pong
${lines.join("\n")}
`,
  );
  const program = start("haproxy", "-db", "-f", file);
  while (!await column(folder, "status").catch(() => null)) await delay(10);
  return [program, port];
}

/** What HAProxy has found out about both servers. */
async function column(folder: string, name: string): Promise<string[]> {
  const path = `${folder}/admin.sock`;
  const conn = await Deno.connect({ transport: "unix", path });
  await conn.write(new TextEncoder().encode("show stat\n"));
  const text = await new Response(conn.readable).text();
  const [head = "", ...rows] = text.split("\n").map((row) => row.split(","));
  return ["a", "b"].map((server) =>
    rows.find((row) => row[1] === server)?.[head.indexOf(name)] ?? "?"
  );
}

/** Waits until HAProxy has found out about both servers. */
async function health(folder: string, ...expected: string[]): Promise<void> {
  while (`${await column(folder, "status")}` !== `${expected}`) await delay(10);
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** One request, on a connection of its own; `null` if it was lost. */
async function ask(port: number, word: string): Promise<string | null> {
  using conn = await Deno.connect({ port });
  const { port: own } = conn.localAddr as Deno.NetAddr;
  try {
    await conn.write(new TextEncoder().encode(`${word}\n`));
    const answer = await new Response(conn.readable).text();
    if (answer === "") return null;
    assertMatch(answer, new RegExp(` 127\\.0\\.0\\.1:${own} ${word}\n$`));
    return answer;
  } catch (error) {
    const { ConnectionReset, BrokenPipe } = Deno.errors;
    if (error instanceof ConnectionReset) return null;
    if (error instanceof BrokenPipe) return null;
    throw error;
  }
}

/** Clients that ask one request after the other. */
class Load {
  /** What answered, by server and thread. */
  readonly answered: Map<string, number> = new Map();
  /** When the requests began that were lost. */
  readonly lost: number[] = [];
  #port: number;
  #stopped = false;
  #clients: Promise<void[]>;

  constructor(port: number) {
    this.#port = port;
    this.#clients = Promise.all(
      Array.from({ length: CLIENTS }, (_, i) => this.#run(`client${i}`)),
    );
    this.#clients.catch(() => {}); // stop() tells
  }

  /** Asks until a condition holds. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await Promise.race([this.#clients, this.#ask("meanwhile")]);
    }
  }

  threadsOf(name: string): string[] {
    return [...this.answered.keys()].filter((key) => key.startsWith(name));
  }

  answersOf(name: string): number {
    return this.threadsOf(name).reduce(
      (sum, thread) => sum + this.answered.get(thread)!,
      0,
    );
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#clients;
  }

  async #run(name: string): Promise<void> {
    for (let i = 0; !this.#stopped; i++) await this.#ask(`${name}-${i}`);
  }

  async #ask(word: string): Promise<void> {
    const began = performance.now();
    const answer = await ask(this.#port, word);
    if (answer === null) return void this.lost.push(began);
    const thread = answer.split(" ").slice(0, 2).join(" ");
    this.answered.set(thread, (this.answered.get(thread) ?? 0) + 1);
  }
}

async function run(folder: string): Promise<void> {
  const [[a, portA], [b, portB]] = await Promise.all([
    startServer("a"),
    startServer("b"),
  ]);
  await using _a = a;
  await using _b = b;
  const [haproxy, port] = await startHaproxy(folder, { a: portA, b: portB });
  await using _haproxy = haproxy;

  await health(folder, "UP", "UP");
  const load = new Load(port);
  await load.until(() => load.answersOf("a") > 0 && load.answersOf("b") > 0);

  const threads = load.threadsOf("a");
  a.child.kill("SIGHUP");
  assertEquals(await a.readLine(), "reloaded");
  await load.until(() => load.threadsOf("a").some((t) => !threads.includes(t)));
  assertEquals(load.lost, [], "requests were lost by the reload");

  b.child.kill("SIGKILL");
  await b.child.status;
  const killed = performance.now();
  const before = load.answersOf("a");
  await load.until(() => load.answersOf("a") > before + 100);
  await load.stop();
  await health(folder, "UP", "DOWN");
  // Only what was in the killed server: all that the other got is answered
  assertEquals(load.lost.filter((began) => began > killed), []);
  const [sessions] = await column(folder, "stot");
  assertEquals(Number(sessions), load.answersOf("a"));

  a.child.kill("SIGTERM");
  assertEquals((await a.child.status).code, 0);
}

Deno.test(
  "two servers behind HAProxy lose only the requests in the one that is killed",
  needs("haproxy"),
  async () => {
    const folder = await Deno.makeTempDir({ prefix: "haproxy_" });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(reject, GUARD_MS, new Error(`Took ${GUARD_MS} ms`));
    });
    try {
      await Promise.race([run(folder), late]);
    } finally {
      clearTimeout(timer);
      await Deno.remove(folder, { recursive: true });
    }
  },
);
