/**
 * The command line's client over connections.
 *
 * @module
 */

import type { Prompt } from "./prompt.ts";
import { printNote } from "./output.ts";
import { isDisconnect } from "../core/disconnect.ts";
import { formatAddress } from "../addresses.ts";

const BUFFER_SIZE = 65_536;

/** Where a stream server listens. */
export type ConnectionAddress =
  | Deno.NetAddr & { transport: "tcp" }
  | Deno.UnixAddr & { transport: "unix" };

type Progress = "sending" | "sent" | "refused";

/** Sends the input and prints what comes, until the server ends. */
export async function talkByConnection(
  address: ConnectionAddress,
  prompt: Prompt,
): Promise<number> {
  const at = formatAddress(address);
  using connection = await connect(address, at);
  let progress: Progress = "sending";
  const sending = sendInput(connection, prompt).then((all) => {
    progress = all ? "sent" : "refused";
  });
  await prompt.show();
  await Promise.race([
    printAnswers(connection, prompt, at),
    // Only what goes wrong with the input itself counts here
    sending.then(() => new Promise<never>(() => {})),
  ]);
  await prompt.end();
  // A write that failed is told a little after the read that saw the end
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

async function connect(
  address: ConnectionAddress,
  at: string,
): Promise<Deno.Conn> {
  try {
    return address.transport === "tcp"
      ? await Deno.connect(address)
      : await Deno.connect(address);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new Error(
      `Cannot connect to "${at}": ${error.message}; ${
        address.transport === "tcp"
          ? "start a server there or give another --hostname or --port"
          : "start a server there or give another --path"
      }`,
      { cause: error },
    );
  }
}

/** Sends stdin to its end; false if the server takes no more. */
async function sendInput(
  connection: Deno.Conn,
  prompt: Prompt,
): Promise<boolean> {
  const buffer = new Uint8Array(BUFFER_SIZE);
  for (let n; (n = await Deno.stdin.read(buffer)) !== null;) {
    prompt.typed();
    try {
      for (let sent = 0; sent < n;) {
        sent += await connection.write(buffer.subarray(sent, n));
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
