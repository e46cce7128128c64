/** Thousands of connections at once. */

import { assert, assertEquals } from "@std/assert";
import { python, startDeno } from "./_programs.ts";
import { test } from "./_support.ts";

const COUNT = 4_000;
const DESCRIPTORS = COUNT + 500;
const hasDescriptors = canRaise();

function canRaise(): boolean {
  const { success } = new Deno.Command("sh", {
    args: ["-c", `ulimit -n ${DESCRIPTORS}`],
    stderr: "null",
  }).outputSync();
  if (success) return true;
  // deno-lint-ignore no-console
  console.log(
    `The limit of descriptors can't be raised to ${DESCRIPTORS}: the test of ${COUNT} connections is skipped`,
  );
  return false;
}

/** Connects, lets all idle, has each echo a line, twice; then leaves. */
const CLIENT = `
import resource, socket, sys
port, count = int(sys.argv[1]), int(sys.argv[2])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 500, hard))
conns = []
for i in range(count):
    s = socket.create_connection(("127.0.0.1", port), 10)
    conns.append(s)
    if i % 250 == 0: # what outruns the backlog waits a second to try again
        s.sendall(b"?\\n")
        assert s.recv(2) == b"?\\n"
for turn in range(2):
    for i, s in enumerate(conns): s.sendall(b"%d %d\\n" % (turn, i))
    for i, s in enumerate(conns):
        got = s.recv(100)
        assert got == b"%d %d\\n" % (turn, i), (i, got)
print(len(conns))
`;
import { needs } from "../support/programs.ts";

test(
  `TCPServer holds ${COUNT} idle connections, and echoes on each`,
  async () => {
    await using program = startDeno("./_crowded_program.ts", {
      descriptors: DESCRIPTORS,
    });
    const port = Number(await program.readLine());
    assertEquals(await python(CLIENT, port, COUNT), `${COUNT}`);
    program.child.kill("SIGTERM");
    const { accepted, open, acceptErrors } = JSON.parse(
      (await program.readLine())!,
    );
    assertEquals([accepted, open, acceptErrors], [COUNT, 0, 0]);
    assert((await program.child.status).success);
  },
  { ignore: needs("python3").ignore || !hasDescriptors },
);
