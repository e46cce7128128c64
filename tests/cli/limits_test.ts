/** What `serve` refuses and guards: TLS, addresses, idle clients, permissions. */

import { assertEquals, assertMatch } from "@std/assert";
import { makeDir, serve, Talker } from "./_cli.ts";

const CERTIFICATES =
  new URL("../servers/certificates/", import.meta.url).pathname;

const SNOOP = `
import { StreamRequestHandler } from "@socketserver/socketserver";
export class Snoop extends StreamRequestHandler {
  async handle() {
    const { state } = Deno.permissions.querySync({ name: "read" });
    await this.wfile.write(state);
  }
}
`;

for (const mode of ["event-loop", "threading", "forking"]) {
  Deno.test(`serve --cert --key serves TLS, ${mode}`, async () => {
    const cert = ["--cert", `${CERTIFICATES}cert.pem`];
    const key = ["--key", `${CERTIFICATES}key.pem`];
    await using server = await serve("tcp://:0", "-m", mode, ...cert, ...key);
    assertMatch(server.program.stdout.text, /\(tcp, TLS, /);
    const ca = await Deno.readTextFile(`${CERTIFICATES}ca.pem`);
    using client = new Talker(
      await Deno.connectTls({
        hostname: "localhost",
        port: server.port,
        caCerts: [ca],
      }),
    );
    await client.say("secret");
    assertEquals(await client.hear(), "secret");
    server.program.kill("SIGTERM");
    assertEquals(await client.hear(), ""); // an end, not a connection cut off
    assertEquals(await server.program.code(), 0);
  });
}

for (const mode of ["event-loop", "threading", "forking"]) {
  Deno.test({
    name: `serve reads --cert and --key again at SIGHUP, ${mode}`,
    ignore: Deno.build.os === "windows",
    fn: async () => {
      await using dir = await makeDir();
      const [cert, key] = [`${dir.path}/cert.pem`, `${dir.path}/key.pem`];
      const install = async (from: string) => {
        await Deno.copyFile(`${CERTIFICATES}${from}cert.pem`, cert);
        await Deno.copyFile(`${CERTIFICATES}${from}key.pem`, key);
      };
      await install("");
      const args = ["tcp://:0", "-m", mode, "--cert", cert, "--key", key];
      await using server = await serve(...args);
      const { program, port } = server;
      const connect = async (authority: string) => {
        const caCerts = [await Deno.readTextFile(CERTIFICATES + authority)];
        const hostname = "localhost";
        return new Talker(await Deno.connectTls({ hostname, port, caCerts }));
      };
      const greet = async (client: Talker) => {
        await client.say("secret");
        assertEquals(await client.hear(), "secret");
      };
      using before = await connect("ca.pem");
      await greet(before);
      await Deno.writeTextFile(key, "nonsense");
      program.kill("SIGHUP");
      await program.stdout.until(/\nNot reloaded: .*\n/);
      assertMatch(program.stderr.text, /key\.pem" as --key: it holds nothing/);
      using still = await connect("ca.pem");
      await greet(still);
      await install("other_");
      program.kill("SIGHUP");
      await program.stdout.until(/\nReloaded\n/);
      using after = await connect("other_cert.pem");
      await greet(after);
    },
  });
}

Deno.test("serve --deny refuses clients, also those of --allow", async () => {
  const lists = ["--allow", "10.0.0.0/8,127.0.0.0/8", "--deny", "::1"];
  await using friendly = await serve("tcp://:0", ...lists);
  using welcome = await Talker.connect(friendly.port);
  await welcome.say("ping");
  assertEquals(await welcome.hear(), "ping");
  const more = ["--deny", "127.0.0.1"];
  await using hostile = await serve("tcp://:0", ...lists, ...more);
  using refused = await Talker.connect(hostile.port);
  assertEquals(await refused.hear().catch(() => ""), "");
});

Deno.test("serve --allow refuses clients that it does not have", async () => {
  const lists = ["--allow", "10.0.0.0/8", "--allow", "::1"];
  await using server = await serve("tcp://:0", ...lists);
  using refused = await Talker.connect(server.port);
  assertEquals(await refused.hear().catch(() => ""), "");
});

Deno.test("serve --timeout ends an idle client", async () => {
  await using server = await serve("tcp://:0", "--timeout", "100");
  using client = await Talker.connect(server.port);
  assertEquals(await client.hear(), "");
});

for (const mode of ["threading", "forking"]) {
  Deno.test(`serve --permissions none takes the handlers' permissions, ${mode}`, async () => {
    await using dir = await makeDir();
    await Deno.writeTextFile(`${dir.path}/snoop.ts`, SNOOP);
    const handler = ["--handler", `${dir.path}/snoop.ts#Snoop`];
    for (const permissions of ["none", "inherit"]) {
      const args = ["-m", mode, ...handler, "--permissions", permissions];
      await using server = await serve("tcp://:0", ...args);
      using client = await Talker.connect(server.port);
      const state = permissions === "none" ? /^(denied|prompt)$/ : /^granted$/;
      assertMatch(await client.hear(), state);
    }
  });
}
