import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { parseClient, parseServe } from "../../server/cli/args.ts";
import {
  CLIENT_OPTIONS,
  HELP,
  SERVE_OPTIONS,
  type Table,
} from "../../server/cli/options.ts";
import { main } from "../../server/cli.ts";
import { capture } from "../servers/_support.ts";
import { CLI, makeDir, Program, runCli } from "./_cli.ts";

const PEM = "tests/servers/certificates/";
const USAGE_ERRORS: [args: string, message: RegExp][] = [
  ["", /No command given: expected "serve" or "client"/],
  ["sreve", /Unknown command "sreve": expected "serve" or "client"/],
  ["sreve", /; did you mean "serve"\?/],
  ["help me", /Unknown command "me": expected "serve" or "client"/],
  ["serve --prot 80", /Unknown option "--prot"; did you mean "--port"\?/],
  ["serve --color", /Unknown option "--color"; --help shows what there is/],
  ["serve --host a", /Unknown option "--host"; did you mean "--hostname"\?/],
  [
    "serve echo",
    /Unexpected argument "echo": expected an address such as 8080/,
  ],
  ["serve 99999", /Cannot use "99999" as --port: .* from 0 to 65535/],
  ["serve localhost 80 81", /Unexpected argument "81": one address is enough/],
  ["serve localhost:80 -p 81", /both "localhost:80" and --port: give one/],
  ["client udp://:1 --timeout 99999999999", /"99999999999" as --timeout: exp/],
  ["serve udp://:1 --max-packet-size 2000000", /from 1 to 1048576/],
  ["serve tcp://:1 tcp://:2", /Unexpected argument "tcp:\/\/:2": one address/],
  ["serve tcp://:99999", /Cannot use "99999" as --port: .* from 0 to 65535/],
  ["serve tcp://:http", /Cannot use "http" as --port: expected an integer/],
  ["serve http://a:1", /Unexpected argument "http:\/\/a:1": expected an addr/],
  ["serve unix:", /--path is empty: give a value/],
  ["serve ::1", /Unexpected argument "::1": .* udp:\/\/\[::1\]:53/],
  ["serve unix://a/b", /Unexpected argument "unix:\/\/a\/b": .* unix:\/path/],
  [
    "serve udp://:1 --port 2",
    /Cannot use both "udp:\/\/:1" and --port: give one/,
  ],
  ["serve --port", /Option ".*--port.*" needs a value/],
  ["serve --port -1", /Option ".*--port.*" needs a value/],
  ["serve --quiet=yes", /Option ".*--quiet" does not take an argument/],
  ["serve --port http", /Cannot use "http" as --port: expected an integer/],
  ["serve --port 65536", /Cannot use "65536" as --port: .* from 0 to 65535/],
  ["serve --port=", /Cannot use "" as --port/],
  ["serve --hostname=", /--hostname is empty: give a value/],
  ["serve --hostname a/b", /Cannot listen on hostname "a\/b": expected a name/],
  ["serve --transport tls", /Cannot use "tls" as --transport: expected tcp, /],
  ["serve --transport unix", /--transport unix needs a --path/],
  ["serve --path /tmp/x", /--path has no effect without --transport unix/],
  [
    "serve -t unix --path x --port 1",
    /--port has no effect without --transport tcp or udp/,
  ],
  [
    `serve -t unix --path ${"x".repeat(200)}`,
    /Cannot listen on "x+": the path has 200 bytes, a socket's has at most \d+/,
  ],
  ["serve --handler eco", /Unknown handler "eco": .*; did you mean "echo"\?/],
  ["serve -m treading", /as --mode: .*; did you mean "threading"\?/],
  ["serve --handler ./a.ts", /Unknown handler "\.\/a\.ts": .* file\.ts#Class/],
  ["client tcp://:0", /Cannot connect to port 0: give the server's --port/],
  ["serve --handler ./a.ts#A", /Cannot find the file "\.\/a\.ts" in "\/.*"/],
  [
    "serve --handler tests/cli/handlers_fixture.ts#Nobody",
    /exports no "Nobody"; it exports "NotAHandler", "Packets", "Stream"/,
  ],
  [
    "serve --handler tests/cli/handlers_fixture.ts#NotAHandler",
    /"NotAHandler" of ".*" is no handler: expected a class that extends/,
  ],
  [
    "serve --handler tests/cli/handlers_fixture.ts#Packets",
    /"Packets" answers packets: give --transport udp or unix-datagram/,
  ],
  [
    "serve -t udp --handler tests/cli/handlers_fixture.ts#Stream",
    /"Stream" answers connections: give --transport tcp or unix/,
  ],
  ["serve --exec=", /--exec is empty: give a value/],
  ["serve --exec '", /Cannot split "'" into words: ' has no end/],
  ["serve --exec no-such", /Cannot find the command "no-such"; give its path/],
  ["serve --exec /etc", /Cannot find the command "\/etc"/],
  [
    "serve --exec ./deno.json",
    /the command "\.\/deno\.json"; "\.\/deno\.json" is no program; make it one/,
  ],
  [
    "serve --handler file:///none.ts#A",
    /Cannot find the file "file:\/\/\/none\.ts"/,
  ],
  [
    "serve -t udp --exec cat",
    /--exec has no effect without --transport tcp or unix/,
  ],
  [
    "serve --handler echo --exec cat",
    /Cannot use both --handler and --exec: give one/,
  ],
  ["serve --mode fork", /Cannot use "fork" as --mode: expected threading, /],
  [
    "serve -m event-loop --workers 2",
    /--workers has no effect without --mode threading or forking/,
  ],
  [
    "serve -m event-loop --dispatch relay",
    /--dispatch has no effect without --mode threading or forking/,
  ],
  ["serve -m forking --workers 0", /Cannot use "0" as --workers: .* 1 or more/],
  ["serve -m forking --dispatch x", /Cannot use "x" as --dispatch: expected/],
  ["serve --max-connections 0", /Cannot use "0" as --max-connections/],
  ["serve --max-packet-size 9", /--max-packet-size has no effect without/],
  ["serve --shutdown-timeout 1.5", /Cannot use "1.5" as --shutdown-timeout/],
  ["serve --cert a.pem", /--cert has no effect without --key/],
  ["serve --key a.pem", /--key has no effect without --cert/],
  ["serve udp://:1 --cert a --key b", /--cert has no effect without --transpo/],
  [
    "serve --cert /none.pem --key /none.pem",
    /Cannot read "\/none\.pem" as --cert: No such file/,
  ],
  [
    "serve --cert deno.json --key deno.json",
    /Cannot use "deno\.json" as --cert: it holds nothing in PEM/,
  ],
  [
    `serve --cert ${PEM}cert.pem --key ${PEM}other_key.pem`,
    /Cannot use "key": it does not fit "cert"/,
  ],
  ["serve --allow 127.0.0", /Cannot use "127.0.0" in "allow": expected a /],
  ["serve --deny 10.0.0.0/33", /"deny"/],
  ["serve --deny ::1,,", /--deny is empty: give a value/],
  ["serve unix:x --allow ::1", /--allow has no effect without --transport tcp/],
  ["serve --timeout 0", /Cannot use "0" as --timeout: .* from 1 to \d+/],
  ["serve udp://:1 --timeout 9", /--timeout has no effect without --transpo/],
  ["serve --permissions all", /as --permissions: expected none, inherit/],
  ["serve -m event-loop --permissions none", /--permissions has no effect wi/],
  [
    "serve --exec cat --permissions none",
    /Cannot use both --permissions and --exec: give one/,
  ],
  ["serve --log xml", /Cannot use "xml" as --log: expected text, json/],
  ["serve --log text -q", /Cannot use both --log and --quiet: give one/],
  ["serve --stats 0", /Cannot use "0" as --stats: expected an integer from 1/],
  ["serve --stats 1 --top", /Cannot use both --stats and --top: give one/],
  ["serve --watch", /--watch has no effect without --handler FILE#CLASS/],
  ["serve --watch --exec cat", /--watch has no effect without --handler FILE/],
  [
    "serve --watch --handler https://a.test/b.ts#C",
    /--watch has no effect without --handler FILE#CLASS/,
  ],
  ["serve -m event-loop --watch", /--watch has no effect without --mode thre/],
  ["serve -m event-loop --top", /--top has no effect without --mode threadin/],
  ["client --port 0", /Cannot connect to port 0: give the server's --port/],
  ["client --timeout 5", /--timeout has no effect without --transport udp/],
  ["client udp://:1 --crlf", /--crlf has no effect without --transport tcp or/],
  ["client unix:x --tls", /--tls has no effect without --transport tcp/],
  ["client --ca x.pem", /--ca has no effect without --tls/],
  ["client --tls --ca /none.pem", /Cannot read "\/none\.pem" as --ca: No such/],
  ["client --tls --ca deno.json", /as --ca: it holds nothing in PEM/],
  ["client --handler echo", /Unknown option "--handler"/],
];

Deno.test("every argument that can't work is reported in one line, with exit code 2", async (t) => {
  for (const [args, message] of USAGE_ERRORS) {
    await t.step(args || "(no arguments)", async () => {
      using stdout = capture(Deno.stdout);
      using stderr = capture(Deno.stderr);
      const code = await main(args === "" ? [] : args.split(" "));
      assertMatch(stderr.text, message);
      assertMatch(stderr.text, /^error: [^\n]+\n$/);
      assertEquals([code, stdout.text], [2, ""]);
    });
  }
});

Deno.test("serve --top is refused where stderr is no terminal, with exit code 2", async () => {
  assertEquals(await runCli(["serve", "--top"]), {
    code: 2,
    stdout: "",
    stderr:
      "error: Cannot use --top: stderr is no terminal; give --stats SECONDS\n",
  });
});

Deno.test("a port that is taken is reported in one line, with exit code 1", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const port = String(listener.addr.port);
  const { code, stderr } = await runCli(["serve", "--port", port]);
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^error: Cannot listen on "127\.0\.0\.1:\d+": .*; end the other server or give another --port\n$/,
  );
});

Deno.test("a name that leads nowhere is reported in one line, with exit code 1", async () => {
  const args = ["serve", "nowhere.invalid:0"];
  const { code, stderr } = await runCli(args);
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^error: Cannot listen on "nowhere\.invalid:0": .*; give another --hostname\n$/,
  );
});

Deno.test("a path in a folder that is not there is reported in one line, with exit code 1", async () => {
  const path = "/nonexistent/folder/socket";
  const args = ["serve", "--transport", "unix", "--path", path];
  const { code, stderr } = await runCli(args);
  assertEquals(code, 1);
  assertMatch(stderr, /^error: .*; make the path's folder first\n$/);
});

/** Modules that can't be imported, and the error for each. */
const BROKEN: [code: string, error: string][] = [
  [
    "export const a = 1;\nexport class A { handle() { const x = ; } }",
    `SyntaxError: Expression expected (DIR/a.ts:2:39); correct the code there`,
  ],
  [
    `import "./inner.ts";`,
    "SyntaxError: Expected ident (DIR/inner.ts:1:7); correct the code there",
  ],
  [
    "throw new Error('no\\n\\x1b[31mluck');",
    "no; luck (DIR/a.ts:1:7); correct the code there",
  ],
  [
    "throw 'no luck';",
    "no luck; correct this module",
  ],
  [
    `import { b } from "./none.ts";`,
    'Module not found "file://DIR/none.ts" (DIR/a.ts:1:19); correct the code there',
  ],
  [
    `export { b } from "./other.ts";`,
    "The requested module './other.ts' does not provide an export named 'b' (DIR/a.ts:1:10); correct the code there",
  ],
  [
    `import "http://127.0.0.1:1/b.ts";`,
    "Import 'http://127.0.0.1:1/b.ts' failed: error sending request",
  ],
];

Deno.test("a handler's file that can't be imported is reported in one line with the place, with exit code 1", async (t) => {
  await using dir = await makeDir();
  const { path } = dir;
  await Deno.writeTextFile(`${path}/inner.ts`, "class {");
  await Deno.writeTextFile(`${path}/other.ts`, "export const a = 1;");
  const args = ["run", "-A", CLI, "serve", "--handler", `${path}/a.ts#A`];
  for (const [code, error] of BROKEN) {
    await t.step(error, async () => {
      await Deno.writeTextFile(`${path}/a.ts`, code);
      const env = { NO_COLOR: "" }; // Deno's own messages have colors
      await using program = new Program(Deno.execPath(), args, { env });
      assertEquals(await program.code(), 1);
      const lines = program.stderr.text.trimEnd().split("\n");
      const last = lines.pop()!;
      assert(lines.every((line) => line.includes("Download")), `${lines}`);
      const expected = error.replaceAll("DIR", path);
      assertStringIncludes(
        last,
        `error: Cannot import "${path}/a.ts": ${expected}`,
      );
      assert(!last.includes("\x1b") && !last.includes("|"), last);
    });
  }
});

Deno.test("a handler's file that never loads is reported in one line, with exit code 1", async () => {
  await using dir = await makeDir();
  const { path } = dir;
  await Deno.writeTextFile(`${path}/a.ts`, "await new Promise(() => {});");
  await Deno.writeTextFile(
    `${path}/main.ts`,
    `import { main } from "file://${CLI}";
    const { setTimeout } = globalThis;
    // The 30 s pass at once
    globalThis.setTimeout = (run, ms, ...args) =>
      setTimeout(run, ms === 30_000 ? 0 : ms, ...args);
    Deno.exit(await main(Deno.args));`,
  );
  const args = ["run", "-A", `${path}/main.ts`, "serve", "--handler"];
  const command = [...args, `${path}/a.ts#A`];
  await using program = new Program(Deno.execPath(), command);
  assertEquals(await program.code(), 1);
  assertEquals(
    program.stderr.text,
    `error: Cannot import "${path}/a.ts": it did not load within 30 s; a top-level await may hang; correct this module\n`,
  );
});

Deno.test("--help shows the commands, in 80 columns", async () => {
  for (
    const [args, words] of [
      ["--help", ["serve [address]", "client [address]", "--allow-net"]],
      ["help", ["serve [address]", "client [address]"]],
      ["help serve", ["--handler"]],
      ["serve --help", ["--handler"]],
      ["help client", ["--crlf"]],
      ["client -h", ["--crlf"]],
    ] as const
  ) {
    const { code, stdout, stderr } = await runCli(args.split(" "));
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    for (const word of words) assertStringIncludes(stdout, word);
  }
  for (const text of HELP.values()) {
    const longest = Math.max(...text.split("\n").map((line) => line.length));
    assert(longest <= 80, `a line has ${longest} characters`);
  }
});

Deno.test("the help of a command shows each option that the command takes, with its letter, and no other", () => {
  const tables: [command: "serve" | "client", Table][] = [
    ["serve", SERVE_OPTIONS],
    ["client", CLIENT_OPTIONS],
  ];
  for (const [command, table] of tables) {
    const shown = new Set(
      HELP.get(command)!.matchAll(/^ +(-\w, )?--([\w-]+)( \S.*?)?(?: {2,}|$)/gm)
        .map(([, letter, name, value]) => `${letter}${name} ${!!value}`),
    );
    const taken = Object.entries(table).map(([name, { short, kind }]) =>
      `${short && `-${short}, `}${name} ${kind !== "flag"}`
    );
    assertEquals([...shown], [...taken, "-h, help false"]);
  }
});

Deno.test("serve with no arguments is the tutorial's server: an echo in threads on 127.0.0.1:8080 that prints connections", () => {
  assertEquals(parseServe([]), {
    transport: "tcp",
    address: { hostname: "127.0.0.1", port: 8080 },
    options: {},
  });
});

Deno.test("an address may be one argument, as ip, name or path", () => {
  const addresses: [written: string, transport: string, address: object][] = [
    ["tcp://localhost:80", "tcp", { hostname: "localhost", port: 80 }],
    ["8081", "tcp", { hostname: "127.0.0.1", port: 8081 }],
    [":8081", "tcp", { hostname: "127.0.0.1", port: 8081 }],
    ["localhost:80", "tcp", { hostname: "localhost", port: 80 }],
    ["localhost 80", "tcp", { hostname: "localhost", port: 80 }],
    ["[::1]:80", "tcp", { hostname: "::1", port: 80 }],
    ["::1 80", "tcp", { hostname: "::1", port: 80 }],
    ["-t udp :53", "udp", { hostname: "127.0.0.1", port: 53 }],
    ["tcp://[::1]:80/", "tcp", { hostname: "::1", port: 80 }],
    ["tcp://0.0.0.0", "tcp", { hostname: "0.0.0.0", port: 8080 }],
    ["udp://:53", "udp", { hostname: "127.0.0.1", port: 53 }],
    ["unix:/tmp/a", "unix", { path: "/tmp/a" }],
    ["unix:///tmp/a", "unix", { path: "/tmp/a" }],
    ["unix-datagram:./a", "unix-datagram", { path: "./a" }],
  ];
  for (const [written, transport, address] of addresses) {
    for (const parse of [parseServe, parseClient]) {
      const parsed = parse(written.split(" "));
      assertEquals(parsed.transport, transport);
      assertEquals(parsed.address, address);
    }
  }
});

Deno.test("--version tells the version of deno.json", async () => {
  const file = new URL("../../deno.json", import.meta.url);
  const { version } = JSON.parse(await Deno.readTextFile(file));
  assertEquals(await runCli(["--version"]), {
    code: 0,
    stdout: `socketserver ${version} (Deno ${Deno.version.deno})\n`,
    stderr: "",
  });
});
