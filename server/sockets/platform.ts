/**
 * The system's abilities: the one place that asks which system this is.
 *
 * @module
 */

/**
 * Whether this is Linux, which alone has `/proc`, abstract sockets, and the
 * spreading of connections over the listeners of one port.
 */
export const IS_LINUX: boolean = Deno.build.os === "linux";

/** Longest path of a socket in bytes: `sockaddr_un` without its final zero. */
export const MAX_SOCKET_PATH_BYTES: number = IS_LINUX ? 107 : 103;

/**
 * Throws unless this is Linux.
 *
 * @param doing What needs Linux, to stand after "Cannot".
 */
export function assertLinux(doing: string): void {
  if (IS_LINUX) return;
  throw new Deno.errors.NotSupported(
    `Cannot ${doing}: it needs Linux, and this is "${Deno.build.os}"`,
  );
}
