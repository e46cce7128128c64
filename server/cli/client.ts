/**
 * The command `client`.
 *
 * @module
 */

import { isDatagram, isUnix } from "./address.ts";
import type { ClientCommand } from "./args.ts";
import { talkByPackets } from "./packets.ts";
import { Prompt } from "./prompt.ts";
import { talkByConnection } from "./connection.ts";
import type { TcpAddress, UnixAddress } from "../addresses.ts";

/** Talks to a server until it or the input ends; returns the exit code. */
export function runClient(command: ClientCommand): Promise<number> {
  const { transport, timeout } = command;
  const { hostname, port, path } = command.address as TcpAddress & UnixAddress;
  const prompt = new Prompt();
  if (isDatagram(transport)) {
    const address = isUnix(transport)
      ? { transport: "unixpacket" as const, path }
      : { transport: "udp" as const, hostname: hostname!, port };
    return talkByPackets(address, prompt, timeout);
  }
  const address = isUnix(transport)
    ? { transport: "unix" as const, path }
    : { transport: "tcp" as const, hostname: hostname!, port };
  return talkByConnection(address, prompt);
}
