/**
 * A store that speaks Redis' protocol, written by hand: one read a chunk, each
 * command in it parsed from the bytes, one write. `redis_loop.ts PORT`.
 *
 * @module
 */
// deno-lint-ignore-file no-console

const values = new Map<string, string>();
const encoder = new TextEncoder();
const OK = encoder.encode("+OK\r\n");
const NOTHING = encoder.encode("$-1\r\n");
const PONG = encoder.encode("+PONG\r\n");
const UNKNOWN = encoder.encode("-ERR unknown command\r\n");
const RETURN = 13;

class Client {
  #conn: Deno.Conn;
  #input = new Uint8Array(16_384);
  #start = 0;
  #end = 0;
  #at = 0;
  #output = new Uint8Array(16_384);
  #held = 0;

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  async serve(): Promise<void> {
    try {
      while (await this.#read()) {
        while (this.#command());
        for (let sent = 0; sent < this.#held;) {
          sent += await this.#conn.write(
            this.#output.subarray(sent, this.#held),
          );
        }
        this.#held = 0;
      }
    } catch {
      // The client left
    }
    this.#conn.close();
  }

  async #read(): Promise<boolean> {
    if (this.#start === this.#end) this.#start = this.#end = 0;
    else if (this.#end === this.#input.length) this.#makeRoom();
    const free = this.#end === 0
      ? this.#input
      : this.#input.subarray(this.#end);
    const count = await this.#conn.read(free);
    this.#end += count ?? 0;
    return count !== null;
  }

  #makeRoom(): void {
    if (this.#start === 0) {
      const larger = new Uint8Array(this.#input.length * 2);
      larger.set(this.#input);
      this.#input = larger;
      return;
    }
    this.#input.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
  }

  /** Answers the next command; false if it is not complete. */
  #command(): boolean {
    this.#at = this.#start;
    const words: string[] = [];
    for (let left = this.#number(); left !== 0; left--) {
      const size = left < 0 ? -1 : this.#number();
      if (size < 0 || this.#at + size + 2 > this.#end) return false;
      words.push(this.#text(this.#at, this.#at + size));
      this.#at += size + 2;
    }
    this.#start = this.#at;
    this.#answer(words);
    return true;
  }

  /** The number of a line; -1 if the line is not complete. */
  #number(): number {
    let number = 0;
    for (let at = this.#at + 1; at + 1 < this.#end; at++) {
      const code = this.#input[at]!;
      if (code === RETURN) {
        this.#at = at + 2;
        return number;
      }
      number = number * 10 + code - 48;
    }
    return -1;
  }

  #text(start: number, end: number): string {
    let text = "";
    for (let at = start; at < end; at++) {
      text += String.fromCharCode(this.#input[at]!);
    }
    return text;
  }

  #answer([command = "", key = "", value = ""]: string[]): void {
    switch (command.toUpperCase()) {
      case "PING":
        return this.#put(PONG);
      case "SET":
        values.set(key, value);
        return this.#put(OK);
      case "GET": {
        const found = values.get(key);
        return this.#put(
          found === undefined
            ? NOTHING
            : encoder.encode(`$${found.length}\r\n${found}\r\n`),
        );
      }
    }
    this.#put(UNKNOWN);
  }

  #put(bytes: Uint8Array): void {
    const end = this.#held + bytes.length;
    if (end > this.#output.length) {
      const larger = new Uint8Array(2 * end);
      larger.set(this.#output.subarray(0, this.#held));
      this.#output = larger;
    }
    this.#output.set(bytes, this.#held);
    this.#held = end;
  }
}

const port = Number(Deno.args[0]);
const listener = Deno.listen({ hostname: "127.0.0.1", port });
console.log("ready");
for await (const conn of listener) void new Client(conn).serve();
