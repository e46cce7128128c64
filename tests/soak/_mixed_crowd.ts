/** Clients of the mixed soak that come and go. */

import {
  Early,
  type Outcome,
  pause,
  pickClient,
  Talk,
} from "./_mixed_clients.ts";

/** After this time a client has waited in vain. */
const PATIENCE_MS = 40_000;
const PACKET_PATIENCE_MS = 10_000;
const PAUSE_MS = 100;

/** Clients that come and go until they are stopped. */
export class Crowd {
  readonly outcomes: Outcome[] = [];
  #address: Deno.Addr;
  #dir: string;
  #loops: Promise<void>[];
  #isOver = false;
  #lastNumber = 0;

  constructor(address: Deno.Addr, dir: string, size: number) {
    this.#address = address;
    this.#dir = dir;
    const { transport } = address;
    const isStream = transport === "tcp" || transport === "unix";
    this.#loops = Array.from(
      { length: size },
      () => isStream ? this.#connectOn() : this.#sendOn(),
    );
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#loops);
  }

  /** The answer to one line, or null. */
  async ask(line: string): Promise<string | null> {
    const { transport } = this.#address;
    if (transport === "udp" || transport === "unixpacket") {
      return (await this.#exchange(line)).answer;
    }
    let answer: string | null = null;
    await this.#talk(async (talk) => {
      await talk.send(`${line}\n`);
      answer = await talk.line();
    }).catch(() => {});
    return answer;
  }

  async #connectOn(): Promise<void> {
    while (!this.#isOver) {
      const { name, script, isGood } = pickClient();
      const from = performance.now();
      const seen = { client: 0, spoke: Infinity };
      let result: Outcome["result"] = "served";
      try {
        await this.#talk(script, seen);
      } catch (error) {
        result = error instanceof Early ? error.result : "cut";
      }
      const to = performance.now();
      this.outcomes.push({ kind: name, ...seen, from, to, result, isGood });
      await pause(
        result === "refused" ? 2 * PAUSE_MS : Math.random() * PAUSE_MS,
      );
    }
  }

  async #talk(
    script: (talk: Talk) => Promise<void>,
    seen = { client: 0, spoke: Infinity },
  ): Promise<void> {
    const address = this.#address as Deno.NetAddr & { transport: "tcp" };
    let conn: Deno.TcpConn;
    try {
      conn = await Deno.connect(address);
    } catch (error) {
      throw new Early(
        error instanceof Deno.errors.ConnectionReset ? "unbegun" : "refused",
      );
    }
    const isUnix = address.transport as string === "unix";
    seen.client = isUnix
      ? this.#newNumber()
      : (conn.localAddr as Deno.NetAddr).port;
    const talk = new Talk(conn);
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      conn.close();
    }, PATIENCE_MS);
    try {
      if (isUnix) await talk.introduce(seen.client);
      await script(talk);
    } catch (error) {
      if (isLate) throw new Early("late");
      throw error instanceof Early ? error : talk.early();
    } finally {
      clearTimeout(timer);
      seen.spoke = talk.spoke;
      conn[Symbol.dispose]();
    }
  }

  async #sendOn(): Promise<void> {
    while (!this.#isOver) {
      // Several larger ones at once would not fit into the system's buffer
      const word = "x".repeat(Math.random() < 0.1 ? 1_000 : 20);
      const isGood = Math.random() < 0.9;
      const from = performance.now();
      const line = isGood ? `say ${word}` : "throw";
      const { client, answer } = await this.#exchange(line, isGood);
      this.outcomes.push({
        kind: isGood ? "packet" : "throwing",
        client,
        from,
        spoke: from,
        to: performance.now(),
        result: answer === word
          ? "served"
          : answer === null
          ? "unbegun"
          : "wrong",
        isGood,
      });
      await pause(Math.random() * PAUSE_MS);
    }
  }

  /** A number for a client without a port, as small as one. */
  #newNumber(): number {
    this.#lastNumber = this.#lastNumber % 65_535 + 1;
    return this.#lastNumber;
  }

  async #exchange(line: string, isAnswered = true) {
    const isUnix = this.#address.transport === "unixpacket";
    const number = this.#newNumber();
    const path = `${this.#dir}/c${number}`;
    const socket = isUnix
      ? Deno.listenDatagram({ transport: "unixpacket", path })
      : Deno.listenDatagram({
        transport: "udp",
        hostname: "127.0.0.1",
        port: 0,
      });
    const client = isUnix ? number : (socket.addr as Deno.NetAddr).port;
    const timer = setTimeout(() => socket.close(), PACKET_PATIENCE_MS);
    try {
      await socket.send(new TextEncoder().encode(line), this.#address);
      if (!isAnswered) return { client, answer: null };
      const [packet] = await socket.receive();
      return { client, answer: new TextDecoder().decode(packet).trimEnd() };
    } catch {
      return { client, answer: null }; // too late, or suspended
    } finally {
      clearTimeout(timer);
      try {
        socket.close();
      } catch {
        // Closed by the timer
      }
      if (isUnix) await Deno.remove(path).catch(() => {});
    }
  }
}
