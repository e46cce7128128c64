/**
 * Connections whose `read()` and `write()` are watched.
 *
 * @module
 */

import type { DatagramRequest } from "../../handlers/datagram_request.ts";
import { readableOf, writableOf } from "../../workers/_conn_streams.ts";

/**
 * Makes a connection's streams use its `read()` and `write()`, also if they are
 * replaced.
 */
export function streamThroughMethods(conn: Deno.Conn): void {
  let readable: Deno.Conn["readable"] | null = null;
  let writable: Deno.Conn["writable"] | null = null;
  Object.defineProperties(conn, {
    readable: {
      configurable: true,
      get: () => readable ??= readableOf(conn),
    },
    writable: {
      configurable: true,
      get: () => writable ??= writableOf(conn),
    },
  });
}

/** Counts the bytes of one request from now on. */
export class ByteMeter {
  bytesRead = 0;
  bytesWritten = 0;

  constructor(request: unknown) {
    const { packet } = request as Partial<DatagramRequest>;
    if (packet !== undefined) {
      this.bytesRead = packet.length;
      this.#watchReplies(request as DatagramRequest);
    } else if (request instanceof Object && "read" in request) {
      this.#watchConnection(request as Deno.Conn);
    }
  }

  #watchReplies(request: DatagramRequest): void {
    const { socket } = request;
    const counting: DatagramRequest["socket"] = {
      addr: socket.addr,
      send: async (packet, address) => {
        const sent = await socket.send(packet, address);
        this.bytesWritten += sent;
        return sent;
      },
    };
    Object.defineProperty(request, "socket", { value: counting });
  }

  #watchConnection(conn: Deno.Conn): void {
    const { read, write } = conn;
    // Callers await the original promise, not the count
    const onRead = (count: number | null) =>
      void (this.bytesRead += count ?? 0);
    const onWrite = (count: number) => void (this.bytesWritten += count);
    Object.defineProperties(conn, {
      read: {
        configurable: true,
        writable: true,
        value: (into: Uint8Array) => {
          const reading = read.call(conn, into);
          reading.then(onRead, ignore);
          return reading;
        },
      },
      write: {
        configurable: true,
        writable: true,
        value: (bytes: Uint8Array) => {
          const writing = write.call(conn, bytes);
          writing.then(onWrite, ignore);
          return writing;
        },
      },
    });
    streamThroughMethods(conn);
  }
}

function ignore(): void {}
