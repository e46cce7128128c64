/**
 * The command `client`.
 *
 * @module
 */

import { isDatagram, isUnix } from "./address.ts";
import type { ClientCommand } from "./args.ts";
import { talkByPackets } from "./packets.ts";
import { readPem } from "./pem.ts";
import { Prompt } from "./prompt.ts";
import { connectPlain, connectTls } from "./connect.ts";
import { talkByConnection } from "./connection.ts";
import type { TcpAddress, UnixAddress } from "../addresses.ts";

/** Talks to a server until it or the input ends; returns the exit code. */
export async function runClient(command: ClientCommand): Promise<number> {
  const { transport, timeout, crlf, tls, ca } = command;
  const { hostname, port, path } = command.address as TcpAddress & UnixAddress;
  const prompt = new Prompt();
  if (isDatagram(transport)) {
    const address = isUnix(transport)
      ? { transport: "unixpacket" as const, path }
      : { transport: "udp" as const, hostname: hostname!, port };
    return await talkByPackets(address, prompt, timeout);
  }
  const address = isUnix(transport)
    ? { transport: "unix" as const, path }
    : { transport: "tcp" as const, hostname: hostname!, port };
  const caCerts = ca === null ? [] : [await readPem("ca", ca)];
  const connect = tls && address.transport === "tcp"
    ? () => connectTls({ ...address, caCerts })
    : () => connectPlain(address);
  return await talkByConnection(address, connect, prompt, crlf);
}
