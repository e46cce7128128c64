/**
 * The command `client`.
 *
 * @module
 */

import { inTime } from "../../workers/base/waits.ts";
import { formatAddress } from "../addresses.ts";
import { isDisconnect } from "../core/faults.ts";
import { type ClientCommand, isDatagram } from "./args.ts";
import { printNote } from "./output.ts";
import { type PacketAddress, talkByPackets } from "./packets.ts";
import { readPem } from "./pem.ts";
import { type Cures, failure, startServer } from "./problems.ts";
import { Prompt } from "./prompt.ts";

/** How long to wait for the answer to a packet. */
const DEFAULT_TIMEOUT_MS = 1_000;
const BUFFER_SIZE = 65_536;
const CR = 13;
const LF = 10;

const TLS_CURES: Cures = [
  [/UnknownIssuer/, "give the authority of its certificate with --ca FILE"],
  [/NotValidForName/, "give a --hostname that its certificate has"],
  [
    /corrupt message|unexpected (handshake )?message|eof/i,
    "leave --tls out if the server has no TLS",
  ],
];

/** Where a stream server listens. */
type ConnectionAddress =
  | Deno.NetAddr & { transport: "tcp" }
  | Deno.UnixAddr & { transport: "unix" };

/** Talks to a server until it or the input ends; returns the exit code. */
export async function runClient(command: ClientCommand): Promise<number> {
  const { timeout = DEFAULT_TIMEOUT_MS, crlf, tls, ca } = command.options;
  const transport = command.transport === "unix-datagram"
    ? "unixpacket"
    : command.transport;
  const address = { ...command.address, transport };
  const prompt = new Prompt();
  if (isDatagram(command.transport)) {
    return await talkByPackets(address as PacketAddress, prompt, timeout);
  }
  const caCerts = ca === undefined ? [] : [await readPem("ca", ca)];
  const server = address as ConnectionAddress;
  using connection = await connect(server, tls ? { caCerts } : null);
  const at = formatAddress(server);
  return await talkByConnection(connection, at, prompt, crlf === true);
}

/** Connects; with TLS it shakes hands. */
async function connect(
  address: ConnectionAddress,
  tls: { caCerts: string[] } | null,
): Promise<Deno.Conn> {
  try {
    if (address.transport === "unix") return await Deno.connect(address);
    if (tls === null) return await Deno.connect(address);
    const connection = await Deno.connectTls({ ...address, ...tls });
    await connection.handshake().catch((error) => {
      connection.close();
      throw error;
    });
    return connection;
  } catch (error) {
    const what = `Cannot connect to "${formatAddress(address)}"`;
    throw failure(what, error, [...TLS_CURES, startServer(address)]);
  }
}

/** Sends the input and prints what comes, until the server ends. */
async function talkByConnection(
  connection: Deno.Conn,
  at: string,
  prompt: Prompt,
  crlf: boolean,
): Promise<number> {
  const sending = sendInput(connection, prompt, crlf);
  await prompt.show();
  await Promise.race([
    printAnswers(connection, prompt, at),
    // Only errors of the input itself count here
    sending.then(() => new Promise<never>(() => {})),
  ]);
  await prompt.end();
  // The error of a write arrives a little after the end of the read
  const isSent = await inTime(sending, 0);
  if (isSent === false) {
    throw new Error(`"${at}" closed before it took all of the input`);
  }
  if (isSent === null) printNote(`"${at}" closed the connection`);
  return 0;
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
  for (let n; (n = await prompt.read(buffer)) !== null;) {
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
