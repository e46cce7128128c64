/** The clients of the mixed soak: well-behaved ones, and others. */

import { BufferedReader } from "../../mod.ts";
import { byteAt } from "./_mixed_handler.ts";

/** What became of a client. */
export interface Outcome {
  kind: string;
  /** Its port, or a number in its place. */
  client: number;
  from: number;
  /** When its first bytes were sent. */
  spoke: number;
  to: number;
  /**
   * Its right answer; its end before a byte, in the middle, between two
   * requests, or in the moment of a further request; no connection; no end; a
   * wrong answer.
   */
  result:
    | "served"
    | "unbegun"
    | "cut"
    | "ended"
    | "crossed"
    | "refused"
    | "late"
    | "wrong";
  /** Whether it was to get an answer. */
  isGood: boolean;
}

/** It did not get its right answer. */
export class Early extends Error {
  readonly result: Outcome["result"];

  constructor(result: Outcome["result"]) {
    super(result);
    this.result = result;
  }
}

/** A server's end may cross a request on its way, for at most so long. */
const CROSSING_MS = 30;

type Script = (talk: Talk) => Promise<void>;

const GOOD: Record<string, Script> = {
  async short(talk) {
    await talk.send("say hello\n");
    await talk.expect("hello");
  },
  async pipelining(talk) {
    const words = Array.from({ length: 50 }, (_, i) => `word${i}`);
    await talk.send(words.map((word) => `say ${word}\n`).join(""));
    await talk.conn.closeWrite();
    for (const word of words) await talk.expect(word);
    await talk.expectEnd();
  },
  async halfClosing(talk) {
    await talk.send("say last");
    await talk.conn.closeWrite();
    await talk.expect("last");
    await talk.expectEnd();
  },
  async long(talk) {
    for (let i = 10 + Math.floor(Math.random() * 20); i > 0; i--) {
      await talk.send(`say ${i}\n`);
      await talk.expect(String(i));
      await talk.idle(100 + Math.random() * 200);
    }
  },
  async slowReader(talk) {
    await talk.send("blob 200000\n");
    for (let got = 0; got < 200_000;) {
      const bytes = await talk.read(4_096);
      if (bytes.some((byte, i) => byte !== byteAt(got + i))) {
        throw new Early("wrong");
      }
      got += bytes.length;
      await pause(10);
    }
  },
  async slowWriter(talk) {
    await talk.send("put 10000\n");
    for (let sent = 0; sent < 10_000; sent += 500) {
      const bytes = Uint8Array.from(
        { length: 500 },
        (_, i) => byteAt(sent + i),
      );
      await talk.sendBytes(bytes);
      await pause(30);
    }
    await talk.expect("right 10000");
  },
};

const BAD: Record<string, Script> = {
  async silent(talk) {
    await talk.expectEnd();
  },
  async oversize(talk) {
    await talk.send("x".repeat(200_000));
    await talk.expectEnd();
  },
  async resetting(talk) {
    await talk.send("blob 2000000\n");
    await talk.read(100); // what is unread at the close makes it a reset
  },
  async leaving(talk) {
    await talk.send("put 1000000\nabc");
  },
  async throwing(talk) {
    await talk.send("throw\n");
    await talk.expectEnd();
  },
};

/** Which client comes how often; the others once each. */
const WEIGHTS: Record<string, number> = {
  short: 8,
  pipelining: 3,
  halfClosing: 3,
  silent: 0.3,
};

const ALL = [
  ...Object.entries(GOOD).map(([name, script]) => ({
    name,
    script,
    isGood: true,
  })),
  ...Object.entries(BAD).map(([name, script]) => ({
    name,
    script,
    isGood: false,
  })),
];

/** A client at random. */
export function pickClient(): typeof ALL[number] {
  let left = Math.random() *
    ALL.reduce((sum, { name }) => sum + (WEIGHTS[name] ?? 1), 0);
  return ALL.find(({ name }) => (left -= WEIGHTS[name] ?? 1) < 0) ?? ALL[0]!;
}

/** One client's connection. */
export class Talk {
  readonly conn: Deno.TcpConn | Deno.UnixConn;
  /** Whether the server may end it: no request is under way. */
  isBetween = false;
  /** When its first bytes were sent. */
  spoke = Infinity;
  #sentAt = 0;
  #next: Promise<string | null> | null = null;
  /** Whether it has all answers except that to the last request. */
  #mayCross = false;
  #got = 0;
  #reader: BufferedReader;

  constructor(conn: Deno.TcpConn | Deno.UnixConn) {
    this.conn = conn;
    this.#reader = new BufferedReader(conn);
  }

  async send(text: string): Promise<void> {
    await this.sendBytes(new TextEncoder().encode(text));
  }

  async sendBytes(bytes: Uint8Array): Promise<void> {
    // An end that has arrived by now may have been sent before this
    const hasAnswers = this.isBetween;
    this.isBetween = false;
    this.#mayCross = hasAnswers;
    for (let sent = 0; sent < bytes.length;) {
      sent += await this.conn.write(bytes.subarray(sent));
      this.#sentAt = performance.now();
      this.spoke = Math.min(this.spoke, performance.now());
    }
  }

  /** Sends a header that gives it an address: a Unix client has none. */
  async introduce(client: number): Promise<void> {
    await this.send(`PROXY TCP4 127.0.0.1 127.0.0.1 ${client} 1\r\n`);
    this.spoke = Infinity;
  }

  async read(most: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(most);
    const count = await this.#reader.read(bytes);
    if (count === null) throw this.early();
    this.#got += count;
    return bytes.subarray(0, count);
  }

  async line(): Promise<string | null> {
    const next = this.#next ?? this.#reader.readLine();
    this.#next = null;
    return await next;
  }

  /** Waits between two requests; the server may end the connection then. */
  async idle(ms: number): Promise<void> {
    this.isBetween = true;
    let hasEnded = false;
    const end = () => void (hasEnded = true);
    this.#next = this.#reader.readLine();
    this.#next.then((line) => line === null && end(), end);
    await pause(ms);
    if (hasEnded) throw this.early();
  }

  async expect(line: string): Promise<void> {
    const found = await this.line();
    if (found === null) throw this.early();
    if (found !== line) {
      throw line.startsWith(found) ? new Early("cut") : new Early("wrong");
    }
    this.#got += found.length;
  }

  async expectEnd(): Promise<void> {
    if (await this.line() !== null) throw new Early("wrong");
  }

  /** What an end of the connection means now. */
  early(): Early {
    if (this.isBetween) return new Early("ended");
    const since = performance.now() - this.#sentAt;
    if (this.#mayCross && since < CROSSING_MS) return new Early("crossed");
    return new Early(this.#got > 0 ? "cut" : "unbegun");
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
