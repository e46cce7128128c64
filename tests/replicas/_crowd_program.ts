/**
 * Many clients of the port that is its argument. Some wait for the end.
 * Prints the ports of those that got an answer and then lost the connection.
 */
// deno-lint-ignore-file no-console

const SHORT = 40;
const WAITING = 60;

const port = Number(Deno.args[0]);

/** The port of a client that got an answer, or null. */
async function ask(word: string): Promise<number | null> {
  try {
    using client = await Deno.connect({ port });
    await client.write(new TextEncoder().encode(word));
    const buffer = new Uint8Array(16);
    if (await client.read(buffer) === null) return null;
    await client.read(buffer).catch(() => {});
    return (client.localAddr as Deno.NetAddr).port;
  } catch {
    return null;
  }
}

const short = Array.from({ length: SHORT }, () => ask("short"));
// The others may be in the queue of the busy server itself
await Promise.any(short);
const waiting = Array.from({ length: WAITING }, () => ask("wait"));
const cut = (await Promise.all(waiting)).filter((port) => port !== null);
await Promise.all(short);
console.log(JSON.stringify(cut));
