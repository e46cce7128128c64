/**
 * Streams over a connection whose own would pass by its `read()` and `write()`.
 *
 * @module
 */

const CHUNK_SIZE = 16_384;

/** What is read from a connection. */
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

/** What is written to a connection. */
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
