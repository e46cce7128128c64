/**
 * The addresses that packets are sent to.
 *
 * @module
 */

/** Whether this is an address that a packet can be sent to. */
export function isPacketAddress(address: unknown): address is Deno.Addr {
  if (typeof address !== "object" || address === null) return false;
  const { transport, hostname, port, path } = address as Record<
    string,
    unknown
  >;
  if (transport === "udp") {
    return typeof hostname === "string" && Number.isInteger(port) &&
      (port as number) >= 0 && (port as number) <= 65_535;
  }
  return transport === "unixpacket" &&
    (typeof path === "string" || path === null);
}

/** Whether two addresses are the same. */
export function isSameAddress(a: Deno.Addr, b: Deno.Addr): boolean {
  if (a === b) return true;
  if (a.transport !== b.transport) return false;
  if (a.transport === "unixpacket") return a.path === (b as typeof a).path;
  const { hostname, port } = a as Deno.NetAddr;
  return hostname === (b as Deno.NetAddr).hostname &&
    port === (b as Deno.NetAddr).port;
}
