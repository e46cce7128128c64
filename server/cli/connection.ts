/**
 * The command line's client over connections.
 *
 * @module
 */

import type { Prompt } from "./prompt.ts";
import { printNote } from "./output.ts";
import { isDisconnect } from "../core/faults.ts";
import { formatAddress } from "../addresses.ts";

const BUFFER_SIZE = 65_536;
const CR = 13;
const LF = 10;

type Progress = "sending" | "sent" | "refused";

/** Sends the input and prints what comes, until the server ends. */
export async function talkByConnection(
  address: Deno.Addr,
  connect: () => Promise<Deno.Conn>,
  prompt: Prompt,
  crlf: boolean,
): Promise<number> {
  const at = formatAddress(address);
  using connection = await connect();
  let progress: Progress = "sending";
  const sending = sendInput(connection, prompt, crlf).then((all) => {
    progress = all ? "sent" : "refused";
  });
  await prompt.show();
  await Promise.race([
    printAnswers(connection, prompt, at),
    // Only errors of the input itself count here
    sending.then(() => new Promise<never>(() => {})),
  ]);
  await prompt.end();
  // The error of a write arrives a little after the end of the read
  await new Promise((resolve) => setTimeout(resolve));
  switch (progress as Progress) {
    case "sending":
      printNote(`"${at}" closed the connection`);
      return 0;
    case "sent":
      return 0;
    case "refused":
      throw new Error(`"${at}" closed before it took all of the input`);
  }
}

/**
 * Sends stdin to its end, then closes this half of the connection; false if
 * the server takes no more.
 */
async function sendInput(
  connection: Deno.Conn,
  prompt: Prompt,
  crlf: boolean,
): Promise<boolean> {
  const buffer = new Uint8Array(BUFFER_SIZE);
  let last = 0;
  for (let n; (n = await Deno.stdin.read(buffer)) !== null;) {
    prompt.typed();
    const typed = buffer.subarray(0, n);
    const bytes = crlf ? addReturns(typed, last) : typed;
    last = typed.at(-1)!;
    try {
      for (let sent = 0; sent < bytes.length;) {
        sent += await connection.write(bytes.subarray(sent));
      }
    } catch (error) {
      return ignoreEnd(error);
    }
  }
  try {
    await connection.closeWrite();
  } catch (error) {
    ignoreEnd(error);
  }
  return true;
}

/** Puts a CR before each LF that has none; `last` is the byte before these. */
function addReturns(bytes: Uint8Array, last: number): Uint8Array {
  const all = new Uint8Array(2 * bytes.length);
  let length = 0;
  for (const byte of bytes) {
    if (byte === LF && last !== CR) all[length++] = CR;
    all[length++] = last = byte;
  }
  return all.subarray(0, length);
}

async function printAnswers(
  connection: Deno.Conn,
  prompt: Prompt,
  at: string,
): Promise<void> {
  const buffer = new Uint8Array(BUFFER_SIZE);
  try {
    for (let n; (n = await connection.read(buffer)) !== null;) {
      await prompt.print(buffer.subarray(0, n));
    }
  } catch (error) {
    if (!isDisconnect(error)) throw error;
    await prompt.end();
    throw new Error(
      `"${at}" reset the connection: what it sent before is printed, the rest is lost`,
      { cause: error },
    );
  }
}

/** False for an error that only says that the server has ended. */
function ignoreEnd(error: unknown): false {
  if (isDisconnect(error) || error instanceof Deno.errors.BadResource) {
    return false;
  }
  throw error;
}
