/**
 * The streams of connections that are read and written by their methods.
 *
 * @module
 */

const CHUNK_SIZE = 16_384;

/** The readable stream of a connection. */
export function readableOf(conn: Deno.Conn): Deno.Conn["readable"] {
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      const chunk = new Uint8Array(CHUNK_SIZE);
      const count = await conn.read(chunk);
      if (count !== null) return controller.enqueue(chunk.subarray(0, count));
      controller.close();
      controller.byobRequest?.respond(0);
    },
    cancel: () => conn[Symbol.dispose](),
  }, { highWaterMark: 0 });
}

/** The writable stream of a connection. */
export function writableOf(conn: Deno.Conn): Deno.Conn["writable"] {
  return new WritableStream({
    async write(bytes) {
      for (let sent = 0; sent < bytes.length;) {
        sent += await conn.write(bytes.subarray(sent));
      }
    },
    close: () => conn.closeWrite(),
    abort: () => conn[Symbol.dispose](),
  });
}
