/** The lesson's programs, and the service, as somebody runs them. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Program } from "../cli/_cli.ts";
import { freePort, whilePortsAreFree } from "../support/sockets.ts";
import { until } from "../support/waiting.ts";

const HERE = new URL("./", import.meta.url).pathname;
const ROOT = new URL("../../", import.meta.url).pathname;

function start(name: string, ...args: (string | number)[]): Program {
  const command = ["run", "-A", "--no-check", `${HERE}${name}`];
  return new Program(Deno.execPath(), [...command, ...args.map(String)]);
}

Deno.test("lesson_exceptions.ts: each kind of error has its handler", async () => {
  await using program = start("lesson_exceptions.ts");
  await program.type("1\n2\nx\n3\n9007199254740991\n1\n");
  await program.endInput();
  assertEquals(await program.code(), 0, program.stderr.text);
  const asked = "Two numbers, please:\n";
  assertEquals(
    program.stdout.text,
    `${asked}3\nOK\nOver\n${asked}Value: "x" is not an integer\nOver\n` +
      `${asked}Arithmetic: 9007199254740992 is not exact\nOver\n${asked}` +
      'Index: no item 10 among 4\nOver\nKey: no key "age"\nOver\n' +
      "DemoError: made for this lesson\nOver\n",
  );
});

Deno.test("lesson_server.ts and lesson_client.ts: clients come and go, the server runs on", async () => {
  await using server = start("lesson_server.ts", 0);
  const [, port] = await server.stdout.until(
    /^Serving on 127\.0\.0\.1:(\d+)\n/,
  );
  for (const word of ["hello", "again"]) {
    await using client = start("lesson_client.ts", port!);
    await client.stdout.until(/^>>/);
    await client.type(`${word}\n`);
    await client.stdout.until(new RegExp(`^>>${word}\\n>>`));
    await client.endInput();
    assertEquals(await client.code(), 0, client.stderr.text);
    await server.stdout.until(new RegExp(`Client data: ${word}\\n`));
  }
  assertMatch(
    server.stdout.text,
    /(New connection: 127\.0\.0\.1:\d+\n[^]*){2}/,
  );
  assertEquals(server.stderr.text, "");
});

Deno.test("lesson_threads.ts: twenty threads are joined", async () => {
  await using program = start("lesson_threads.ts", 50);
  assertEquals(await program.code(), 0, program.stderr.text);
  const lines = program.stdout.text.trimEnd().split("\n");
  assertEquals(lines.filter((line) => line.startsWith("running")).length, 22);
  assertEquals(lines.at(-1), "----done--");
  assertStringIncludes(program.stdout.text, "Thread-1");
});

Deno.test("service.ts: has enough permissions, tells its health, and leaves the balancer first", () =>
  whilePortsAreFree(assertIsService));

async function assertIsService(): Promise<void> {
  const unit = await Deno.readTextFile(`${HERE}service.service`);
  const docker = await Deno.readTextFile(`${HERE}service.dockerfile`);
  const flags = /^ExecStart=\S+ run (.*) \S+$/m.exec(unit)![1]!.split(" ");
  for (const flag of flags) assertStringIncludes(docker, `"${flag}"`);
  const [port, adminPort] = [freePort(), freePort()];
  const mine = flags.map((flag) =>
    flag.replace("8080", `${port}`).replace("9090", `${adminPort}`)
      .replace("/srv/upper", ROOT)
  );
  const command = ["run", "--no-check", ...mine, `${HERE}service.ts`];
  await using program = new Program(Deno.execPath(), [
    ...command,
    `${port}`,
    `${adminPort}`,
  ]);
  const get = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${adminPort}/${path}`);
    return [response.status, await response.text()] as const;
  };
  const isReady = async (expected: number) => {
    const [status] = await get("readyz").catch(() => [0]);
    return status === expected;
  };
  const talk = async () => {
    using client = await Deno.connect({ port });
    await client.write(new TextEncoder().encode("hello\n"));
    await client.closeWrite();
    return await new Response(client.readable).text();
  };
  const ended = program.code().then(() => {
    throw new Error(`It ended: ${program.stderr.text}`);
  });
  await Promise.race([ended, until(() => isReady(200), "it is ready")]);
  ended.catch(() => {});
  assertEquals(await talk(), "HELLO\n");
  assertEquals(await get("healthz"), [200, "ok\n"]);
  const [, metrics] = await get("metrics");
  assertStringIncludes(metrics, "\nsocketserver_replicas 2\n".slice(0, -2));
  program.kill("SIGTERM");
  await until(() => isReady(503), "it leaves the balancer");
  assertEquals(await talk(), "HELLO\n"); // and still serves
  assertEquals(await program.code(), 0, program.stderr.text);
  assertMatch(program.stdout.text, /"event":"drainEnd"/);
}
