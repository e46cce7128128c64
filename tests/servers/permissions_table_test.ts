/** The table of PERMISSIONS.md: each row in a project of its own. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { LINUX_ONLY } from "../support/system.ts";
import { test } from "./_support.ts";

const ROOT = new URL("../../", import.meta.url);
/** How many programs run at the same time. */
const LANES = 2;

const MAIN = `
import * as all from "all";
import { word } from "word";

const module = import.meta.url;
const [what, path, permissions] = Deno.args;

export function tell() {
  return word;
}

export class Greeter extends all.RequestHandler {
  async handle() {
    await this.wfile.write(word + await this.rfile.readLine());
  }
}

class Command extends all.CommandRequestHandler {
  command = "cat";
}

function open(Server, Handler = Greeter) {
  const address = what.includes("Unix") ? { path } : { port: 0 };
  const isPlain = !/^(Threading|Forking)/.test(what);
  return new Server(address, Handler, isPlain ? {} : {
    module,
    workers: 1,
    ...(permissions && { permissions }),
  });
}

async function ask(server) {
  server.serveForever();
  await server.ready;
  const hello = new TextEncoder().encode("!\\n");
  const address = server.serverAddress;
  const { transport } = address;
  if (/udp|unixpacket/.test(transport)) {
    const client = Deno.listenDatagram(
      transport === "udp"
        ? { transport, hostname: "127.0.0.1", port: 0 }
        : { transport, path: path + ".client" },
    );
    await client.send(hello, address);
    const [answer] = await client.receive();
    client.close();
    return new TextDecoder().decode(answer);
  }
  const client = await Deno.connect(address);
  await client.write(hello);
  await client.closeWrite();
  return await new Response(client.readable).text();
}

async function run() {
  if (/Pool$/.test(what)) {
    await using pool = new all[what]({ module, workers: 1 });
    return await pool.submit(tell);
  }
  if (/^(Thread|Process)$/.test(what)) {
    await using activity = new all[what]({ target: tell, module });
    activity.start();
    return await activity.result;
  }
  const Server = what.endsWith("Server") ? all[what] : all.TCPServer;
  const Handler = what === "CommandRequestHandler" ? Command : Greeter;
  await using server = open(Server, Handler);
  if (what === "fileno()") return "word" + (server.fileno() > 2);
  return await ask(server);
}

if (import.meta.main) console.log(await run());
`;

interface Row {
  name: string;
  permissions: string;
  flags: string;
}

/** A row of the table, as it is written. */
async function readRows(): Promise<Row[]> {
  const text = await Deno.readTextFile(
    new URL("server/PERMISSIONS.md", ROOT),
  );
  const lines = text.split("\n").filter((line) => line.startsWith("| `"));
  return lines.map((line) => line.split("|").map((cell) => cell.trim()))
    .filter((cells) => cells.length === 5)
    .map(([, name, permissions, flags]) => ({
      name: name!,
      permissions: permissions!,
      flags: flags!,
    }))
    .filter(({ permissions }) => permissions.includes("`--allow"));
}

interface Program {
  what: string;
  args: string[];
  /** Its permissions and flags, as in the table. */
  flags: string;
  /** Features that its configuration turns on. */
  unstable: string[];
}

function codeIn(cell: string): string {
  return [...cell.matchAll(/`(-[^`]*)`/g)].map(([, code]) => code).join(" ");
}

/** The programs that show a row, or a row together with those it refers to. */
function programsOf({ name, permissions, flags }: Row, bases: Row[]) {
  const own = `${codeIn(permissions)} ${codeIn(flags)}`;
  const names = [...name.matchAll(/`([^`]*)`/g)].map(([, name]) => name!);
  const [first] = names;
  if (first === "permissions") {
    return ["Threading", "Forking"].map((kind) => ({
      what: `${kind}TCPServer`,
      args: ["none"],
      flags: `${own} --allow-net ` +
        (kind === "Forking" ? "--allow-run=DENO" : "--allow-read=MODULES"),
      unstable: ["worker-options"],
    }));
  }
  if (!name.includes("+ one of these")) {
    return names.map((what) => ({ what, args: [], flags: own, unstable: [] }));
  }
  return bases.map((base) => ({
    what: `${first}${base.name.replaceAll("`", "")}`,
    args: [],
    flags: `${own} ${codeIn(base.permissions)} ${codeIn(base.flags)}`,
    unstable: [],
  }));
}

/** Gives each permission one list: Deno takes a flag once. */
function merge(flags: string): string[] {
  const merged = new Map<string, string[]>();
  for (const flag of flags.split(" ").filter((flag) => flag !== "")) {
    const [name, value] = flag.split("=") as [string, string?];
    const list = merged.get(name) ?? [];
    if (value !== undefined) list.push(value);
    merged.set(name, list);
  }
  return [...merged].map(([name, values]) =>
    values.length === 0 ? name : `${name}=${values.join(",")}`
  );
}

async function runProgram(
  { what, args, flags, unstable }: Program,
  folder: string,
): Promise<string> {
  await Deno.mkdir(folder);
  await Deno.writeTextFile(`${folder}/main.js`, MAIN);
  await Deno.writeTextFile(
    `${folder}/word.js`,
    'export const word = "word";',
  );
  await Deno.writeTextFile(
    `${folder}/deno.json`,
    JSON.stringify({
      imports: { all: new URL("mod.ts", ROOT).href, word: "./word.js" },
      unstable,
      lock: false,
    }),
  );
  const values: Record<string, string> = {
    SOCKET: `${folder}/socket`,
    FOLDER: folder,
    MODULES: [
      ...["mod.ts", "server", "handlers", "workers"].map((name) =>
        new URL(name, ROOT).pathname
      ),
      `${folder}/main.js`,
      `${folder}/word.js`,
    ].join(","),
    DENO: Deno.execPath(),
    CONFIG: "deno.json",
    COMMAND: "cat",
  };
  const own = merge(flags).map((flag) =>
    flag.replace(/[A-Z]{4,}/g, (name) => values[name]!)
  );
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--no-check",
      "--quiet",
      ...own,
      "main.js",
      what,
      `${folder}/socket`,
      ...args,
    ],
    cwd: folder,
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return decoder.decode(stdout) + decoder.decode(stderr);
}

test(
  "PERMISSIONS.md: each row of the table is enough, in all modes",
  async () => {
    const rows = await readRows();
    const programs: Program[] = rows.flatMap((row) =>
      programsOf(row, rows.slice(0, 4))
    );
    assertEquals(programs.length, 20);
    const folder = await Deno.realPath(await Deno.makeTempDir());
    let next = 0;
    async function takeTurns(): Promise<void> {
      while (next < programs.length) {
        const number = next++;
        const program = programs[number]!;
        const said = await runProgram(program, `${folder}/${number}`);
        assertMatch(said, /^(word|wordtrue|word!|!)\n*$/, program.what);
      }
    }
    const lanes = Array.from({ length: LANES }, takeTurns);
    const outcomes = await Promise.allSettled(lanes);
    await Deno.remove(folder, { recursive: true });
    for (const outcome of outcomes) {
      assert(outcome.status === "fulfilled", String(Object(outcome).reason));
    }
  },
  LINUX_ONLY,
);
