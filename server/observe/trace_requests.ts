/**
 * Spans for OpenTelemetry.
 *
 * @module
 */

import type { BaseServer } from "../base_server.ts";
import type { RequestEndEvent } from "../server_events.ts";

/** OpenTelemetry's numbers. */
const SERVER_KIND = 1;
const ERROR_STATUS = 2;

/** The part of OpenTelemetry's API in use. Deno has it built in. */
interface Tracer {
  startSpan(name: string, options: {
    kind: number;
    startTime: number;
    attributes: Record<string, string | number>;
  }): {
    setStatus(status: { code: number }): void;
    end(time: number): void;
  };
}

/**
 * Reports each request as an OpenTelemetry span, until disposed. Start Deno
 * with `OTEL_DENO=true`; its environment sets the receiver. A span is made when
 * its request has ended, so it has no child spans.
 *
 * @example Usage
 * ```ts no-assert
 * import { EchoHandler, TCPServer, traceRequests } from "@socketserver/socketserver";
 *
 * await using server = new TCPServer({ port: 0 }, EchoHandler);
 * if (Deno.env.get("OTEL_DENO") === "true") traceRequests(server);
 * ```
 *
 * @param server The server.
 * @returns The reporter. Dispose it to end it.
 * @throws {Deno.errors.NotSupported} If Deno runs without OpenTelemetry.
 */
export function traceRequests(
  server: Pick<BaseServer<never, never>, "on" | "off">,
): Disposable {
  const tracer: Tracer = Deno.telemetry.tracerProvider.getTracer(
    "@socketserver/socketserver",
  );
  assertOn(tracer);
  const listener = (event: RequestEndEvent) => trace(tracer, event);
  server.on("requestEnd", listener);
  return { [Symbol.dispose]: () => server.off("requestEnd", listener) };
}

function trace(tracer: Tracer, event: RequestEndEvent): void {
  const { clientAddress, serverAddress, duration, failed } = event;
  const end = Date.now();
  const span = tracer.startSpan(`${serverAddress.transport} request`, {
    kind: SERVER_KIND,
    startTime: end - duration,
    attributes: {
      "network.transport": serverAddress.transport,
      ...attributesOf("client", clientAddress),
      ...attributesOf("server", serverAddress),
      "socketserver.bytes_read": event.bytesRead,
      "socketserver.bytes_written": event.bytesWritten,
    },
  });
  if (failed) span.setStatus({ code: ERROR_STATUS });
  span.end(end);
}

function attributesOf(
  side: "client" | "server",
  address: Deno.Addr,
): Record<string, string | number> {
  if ("hostname" in address) {
    const { hostname, port } = address;
    return { [`${side}.address`]: hostname, [`${side}.port`]: port };
  }
  return "path" in address && address.path
    ? { [`${side}.address`]: address.path }
    : {};
}

function assertOn(tracer: Tracer): void {
  try {
    const startTime = Date.now();
    // A span that is never ended is never sent
    tracer.startSpan("check", { kind: 0, startTime, attributes: {} });
  } catch (cause) {
    throw new Deno.errors.NotSupported(
      'Cannot trace requests: Deno runs without OpenTelemetry; start it with the environment variable "OTEL_DENO=true"',
      { cause },
    );
  }
}
