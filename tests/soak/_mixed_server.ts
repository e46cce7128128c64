/**
 * The server of the mixed soak. Its first argument names class and dispatch.
 * It obeys lines of its input, and reports each error of a request in a line.
 */
// deno-lint-ignore-file no-console

import * as module from "../../mod.ts";

/** What the argument says. */
export interface Plan {
  server: string;
  dispatch?: string;
  /** A folder for the handler's modules and the socket. */
  dir: string;
}

type AnyServer = module.BaseServer<never> & {
  reload?(): Promise<void>;
};

const BASE = new URL("./_mixed_handler.ts", import.meta.url).href;
const HANDLER = `import { Obedient } from "${BASE}";
import { version } from "./version.ts";
export class Mixed extends Obedient {
  static readonly module = import.meta.url;
  readonly version = version;
}`;

const { server: name, dispatch, dir }: Plan = JSON.parse(Deno.args[0]!);
const isStream = !name.includes("UDP") && !name.includes("Datagram");
await write(1);
await Deno.writeTextFile(`${dir}/handler.ts`, HANDLER);
const { Mixed } = await import(`file://${dir}/handler.ts`);

const Server = Reflect.get(module, name) as new (
  ...args: unknown[]
) => AnyServer;
const isUnix = name.includes("Unix");
const address = isUnix ? { path: `${dir}/s` } : { port: 0 };
const server = new Server(address, Mixed, {
  ...(isStream && { idleTimeout: 3_000 }),
  // Its clients have no address: a header gives them one
  ...(isStream && isUnix && { proxyProtocol: "require" }),
  ...(dispatch !== undefined && {
    dispatch,
    workers: 3,
    stallTimeout: 1_500,
    maxRequests: 1_000,
    maxRequestsJitter: 500,
  }),
});
server.handleError = () => {};
server.on("error", ({ error, clientAddress }) => {
  console.log(`report ${clientOf(clientAddress)} ${(error as Error).name}`);
});

/** The client's number: its port, or that of its path. */
function clientOf(address: Deno.Addr | null): number {
  const { port, path } = (address ?? {}) as Partial<Deno.NetAddr> & {
    path?: string;
  };
  return port ?? Number(/\d+$/.exec(path ?? "")?.[0] ?? 0);
}

async function write(version: number): Promise<void> {
  // Not half a file: a replica may start at any time
  await Deno.writeTextFile(`${dir}/~`, `export const version = ${version};`);
  await Deno.rename(`${dir}/~`, `${dir}/version.ts`);
}

async function obey(word: string, argument: string): Promise<unknown> {
  switch (word) {
    case "reload":
      await write(Number(argument));
      return await server.reload!();
    case "break":
      await Deno.writeTextFile(`${dir}/version.ts`, "throw new Error();");
      try {
        await server.reload!();
      } catch {
        return;
      } finally {
        await write(Number(argument));
      }
      throw new Error("It loaded a broken module");
    case "suspend":
      return await server.suspend();
    case "resume":
      return await server.resume();
    case "gc":
      (globalThis as unknown as { gc(): void }).gc();
      return Deno.memoryUsage();
    case "stats":
      return await server.stats();
  }
}

const serving = server.serveForever();
await server.ready;
console.log(JSON.stringify(server.serverAddress));
const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
let text = "";
for await (const chunk of lines) {
  text += chunk;
  for (let at; (at = text.indexOf("\n")) >= 0;) {
    const [id, word, argument = ""] = text.slice(0, at).split(" ");
    text = text.slice(at + 1);
    obey(word!, argument).then(
      (value) => console.log(`done ${id} ${JSON.stringify(value ?? null)}`),
      (error) => console.log(`failed ${id} ${error}`),
    );
  }
}
const report = await server.serverClose();
await serving;
console.log(`closed ${JSON.stringify(report)}`);
