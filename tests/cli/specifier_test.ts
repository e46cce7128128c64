/** Handlers from elsewhere than a file. */

import { assertEquals, assertMatch } from "@std/assert";
import { runCli, serve } from "./_cli.ts";

/** A remote module can't import from the file system: it brings all it needs. */
const HANDLER = `
export class Hello {
  constructor(request) { this.request = request; }
  setup() {}
  async handle() { await this.request.write(new TextEncoder().encode("hello\\n")); }
  finish() {}
}
`;

function serveModule(): Deno.HttpServer<Deno.NetAddr> {
  const headers = { "content-type": "text/javascript" };
  return Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    () => new Response(HANDLER, { headers }),
  );
}

for (const mode of ["threading", "forking"]) {
  Deno.test(`serve serves a class from a URL, ${mode}`, async () => {
    await using modules = serveModule();
    const handler = `http://127.0.0.1:${modules.addr.port}/hello.js#Hello`;
    const args = ["tcp://:0", "-m", mode, "--handler", handler];
    await using server = await serve(...args);
    const { stdout } = await runCli(["client", `tcp://:${server.port}`]);
    assertEquals(stdout, "hello\n");
  });
}

Deno.test("serve tells of a specifier that leads nowhere in one line, with exit code 1", async () => {
  const handler = "http://127.0.0.1:1/hello.js#Hello";
  const { code, stderr } = await runCli(["serve", "--handler", handler]);
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^(Download .*\n)?error: Cannot import "http:.*hello\.js": [^\n]+\n$/,
  );
});
