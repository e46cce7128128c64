/**
 * Takes the cure of a fault out of a copy of the code and shows that the
 * simulation finds it: `deno task simulate:mutants [PART_OF_NAME]`.
 */
// deno-lint-ignore-file no-console

const ROOT = new URL("../../", import.meta.url).pathname;
const SEEDS = 500;

interface Edit {
  file: string;
  find: string;
  put: string;
}

const MUTANTS: Record<string, Edit[]> = {
  "a connection is closed before what was written is delivered": [{
    file: "workers/relay/carried_conn.ts",
    find: "    if (!this.#writer.isIdle) return;\n    const stage",
    put: "    const stage",
  }],
  "a replica that can't listen stays, and nothing limits the wait for it": [
    {
      file: "server/replicas/main.ts",
      find: "void this.#obey(message).catch(this.#fail)",
      put: "void this.#obey(message).catch(() => {})",
    },
    {
      file: "server/replicas/life.ts",
      find: "    if (timeout === Infinity) return;",
      put: "    if (timeout > 0) return;",
    },
  ],
  "commands overtake each other": [
    {
      file: "server/replicas/life.ts",
      find: "    if (this.#underWay !== null) return;\n",
      put: "",
    },
    {
      file: "server/replicas/main.ts",
      find: "if (this.#underWay !== null) throw outOfOrder(command[0]);",
      put: "",
    },
  ],
  "a thread that dies has begun only what it has told by a frame": [{
    file: "workers/relay/hub.ts",
    find: "return (Atomics.load(this.#begun, 0) - order | 0) >= 0;",
    put: "return false;",
  }],
  "reload() ends the old replica first": [{
    file: "server/replicas/turnover.ts",
    find: "        const successor = this.#members.start(true);",
    put:
      "        const old = all[successors.length];\n        if (old !== undefined) this.#retire(old);\n        await old?.runner.exited;\n        const successor = this.#members.start(true);",
  }],
  "a handler is not told that a hook closed its connection": [{
    file: "workers/relay/carried_conn.ts",
    find: "if (isClosedHere) return this.#letGo(CLOSED_HERE);",
    put: "if (isClosedHere) return;",
  }],
  "a drain ends a connection though bytes are on their way to its replica": [{
    file: "workers/relay/carried_conn.ts",
    find: "if (isOver || this.#sent !== received) return;",
    put: "if (isOver) return;",
  }],
  "reload() waits for no replica that leaves": [{
    file: "server/replicas/turnover.ts",
    find: "    await Promise.all(this.#leaving.values());\n",
    put: "",
  }],
  "a process's beginning is not flushed before its handler runs": [{
    file: "workers/relay/port.ts",
    find: "      await this.#port.flushed();\n",
    put: "",
  }],
  "a process tells of a beginning after its handler began": [{
    file: "workers/relay/port.ts",
    find: "      for (const { id } of requests) this.#link.send(Op.began, id);",
    put:
      "      for (const one of requests) void this.#serve(one);\n      for (const { id } of requests.splice(0)) this.#link.send(Op.began, id);",
  }],
  "what a handler reads is not credited": [{
    file: "workers/relay/relayed_conn.ts",
    find: "    this.#receiving.release(count);\n    return count;",
    put: "    return count;",
  }],
  "the send window is ignored": [{
    file: "workers/relay/flow.ts",
    find: "    return limit - this.#used - FRAME_COST;",
    put: "    return limit - FRAME_COST;",
  }],
  "kept bytes are not sent again": [{
    file: "workers/relay/carried_conn.ts",
    find: "    for (const bytes of this.#kept!) this.#send(bytes);\n",
    put: "",
  }],
  "a reload starts replicas during a close": [{
    file: "server/replicas/turnover.ts",
    find: "        if (!this.#members.isKeeping) break;\n",
    put: "",
  }],
  "an upload that pauses during a drain is given to its handler as finished": [
    {
      file: "server/core/watched_conn.ts",
      find: "    if (hasPart || this.#marked === true) return;",
      put: "    if (this.#marked === true) return;",
    },
    {
      file: "server/core/watched_conn.ts",
      find: "      if (!this.#answered) return;\n",
      put: "",
    },
  ],
  "a drain gives a new connection no time for its first byte": [{
    file: "server/core/watched_conn.ts",
    find: "const NEW_MS = 5_000;",
    put: "const NEW_MS = 0;",
  }],
  "a close does not linger": [{
    file: "server/core/lingering.ts",
    find: "    if (this.#isClosing) left();\n",
    put: "    closeAnyhow(conn);\n    return left();\n",
  }],
  "a replica cuts off requests when its server closes, and nobody is told": [{
    file: "server/core/request_cycle.ts",
    find: "    this.addEnd(open.clientAddress, how);\n",
    put: "",
  }],
  "a packet whose handler has begun is given to another replica": [{
    file: "workers/relay/packets.ts",
    find: "isLost ? error : notBegun(error)",
    put: "notBegun(error)",
  }],
  "a request that waited is given to a replica some tasks after the choice": [{
    file: "server/replicas/dispatcher.ts",
    find: "        const given = this.#give(request, clientAddress);\n",
    put:
      "        const replica = this.#choose();\n        for (let i = 0; i < 4; i++) await null;\n        const given = replica && { replica, carrying: carry(replica, request, clientAddress) };\n",
  }],
  "a server that served gives up when its code breaks": [{
    file: "workers/runner/supervisor.ts",
    find: "    if (this.#everReady) this.#host.failing(cause);\n    else if (",
    put: "    if (",
  }],
};

async function find(edits: Edit[]): Promise<string | null> {
  const copy = await Deno.makeTempDir();
  try {
    for (
      const name of ["mod.ts", "deno.json", "server", "handlers", "workers"]
    ) {
      await run("cp", ["-r", `${ROOT}${name}`, copy]);
    }
    await Deno.mkdir(`${copy}/tests`);
    await run("cp", ["-r", `${ROOT}tests/simulation`, `${copy}/tests`]);
    for (const { file, find, put } of edits) {
      const text = await Deno.readTextFile(`${copy}/${file}`);
      if (!text.includes(find)) throw new Error(`${file} has no "${find}"`);
      await Deno.writeTextFile(`${copy}/${file}`, text.replace(find, put));
    }
    const script = `${copy}/tests/simulation/run.ts`;
    const output = await run(Deno.execPath(), [
      ...["run", "-A", "--quiet", "--no-check", script],
      String(SEEDS),
    ]);
    return /Seed .*/.exec(output)?.[0] ?? null;
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
}

async function run(command: string, args: string[]): Promise<string> {
  const { stdout, stderr } = await new Deno.Command(command, { args }).output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

const part = Deno.args[0] ?? "";
let missed = 0;
for (const [name, edits] of Object.entries(MUTANTS)) {
  if (!name.includes(part)) continue;
  const found = await find(edits);
  if (found === null) missed++;
  console.log(`${name}\n  ${found ?? `not found by ${SEEDS} seeds`}`);
}
Deno.exit(missed === 0 ? 0 : 1);
