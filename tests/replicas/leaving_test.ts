import { assertEquals, assertNotEquals } from "@std/assert";
import { BufferedReader, ForkingTCPServer } from "../../mod.ts";
import { Telling } from "./leaving_fixture.ts";

const encoder = new TextEncoder();

for (const dispatch of ["shard", "relay"] as const) {
  Deno.test(`ForkingTCPServer (${dispatch}): SIGTERM to a child lets its request end, and another takes its place`, async () => {
    const options = { workers: 1, dispatch };
    await using server = new ForkingTCPServer({ port: 0 }, Telling, options);
    const serving = server.serveForever();
    await server.ready;

    using client = await Deno.connect(server.serverAddress);
    const answers = new BufferedReader(client);
    const pid = Number(await answers.readLine());
    Deno.kill(pid, "SIGTERM");

    // Whoever comes next finds a successor, while the first is still there
    let successor = pid;
    while (successor === pid) {
      using next = await Deno.connect(server.serverAddress);
      successor = Number(await new BufferedReader(next).readLine());
      await next.write(encoder.encode("go"));
    }
    await client.write(encoder.encode("go"));
    assertEquals(await answers.readLine(), "done");
    assertNotEquals(successor, pid);
    assertEquals((await server.stats()).errors, 0);

    await server.shutdown();
    await serving;
  });
}
