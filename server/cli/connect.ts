/**
 * How the command line's client connects.
 *
 * @module
 */

import { formatAddress } from "../addresses.ts";

/** Where a stream server listens. */
export type ConnectionAddress =
  | Deno.NetAddr & { transport: "tcp" }
  | Deno.UnixAddr & { transport: "unix" };

/** Connects without TLS. */
export async function connectPlain(
  address: ConnectionAddress,
): Promise<Deno.Conn> {
  try {
    return address.transport === "tcp"
      ? await Deno.connect(address)
      : await Deno.connect(address);
  } catch (error) {
    throw explain(error, address);
  }
}

/** Connects, and shakes hands. */
export async function connectTls(
  address: Deno.NetAddr & { transport: "tcp"; caCerts: string[] },
): Promise<Deno.Conn> {
  try {
    const connection = await Deno.connectTls(address);
    try {
      await connection.handshake();
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  } catch (error) {
    throw explain(error, address);
  }
}

function explain(error: unknown, address: ConnectionAddress): unknown {
  if (!(error instanceof Error)) return error;
  return new Error(
    `Cannot connect to "${formatAddress(address)}": ${error.message}; ${
      findCure(error.message, address)
    }`,
    { cause: error },
  );
}

function findCure(message: string, { transport }: ConnectionAddress): string {
  if (transport === "unix") {
    return "start a server there or give another --path";
  }
  if (/UnknownIssuer/.test(message)) {
    return "give the authority of its certificate with --ca FILE";
  }
  if (/NotValidForName/.test(message)) {
    return "give a --hostname that its certificate has";
  }
  if (/corrupt message|unexpected (handshake )?message|eof/i.test(message)) {
    return "leave --tls out if the server has no TLS";
  }
  return "start a server there or give another --hostname or --port";
}
