/** What a replica says is checked before it is used, at once. */

import { assertEquals, assertThrows } from "@std/assert";
import { COUNTS } from "../../server/core/faults.ts";
import {
  decodeFromReplica,
  detailsOf,
  MAX_LIST,
} from "../../server/replicas/protocol.ts";

const COUNT_VALUES = COUNTS.map(() => 0);
const CLIENT: Deno.Addr = { transport: "tcp", hostname: "::1", port: 1 };

function listOf(length: number): unknown[] {
  return Array.from({ length }, () => 1);
}

const MESSAGES: Record<string, unknown> = {
  "a list": [
    "ended",
    ...[0, 1, 2, 3].map((i) => i === 1 ? COUNT_VALUES : listOf(MAX_LIST)),
  ],
  "an event": ["event", "refusal", { clientAddress: CLIENT, reason: "deny" }],
  "a field without a value": ["event", "error", {
    clientAddress: null,
    duration: undefined,
    error: { name: "Error", message: "" },
  }],
};

const LIES: Record<string, unknown> = {
  "a list with four billion holes": [
    "ended",
    new Array(2 ** 32 - 1),
    COUNT_VALUES,
    [],
    [],
  ],
  "a message of four billion holes": new Array(2 ** 32 - 1),
  "a message with that in it": ["boo", new Array(2 ** 32 - 1)],
  "a list with a hole": ["ended", [1], COUNT_VALUES, new Array(1), [0]],
  "a long list": ["ended", listOf(MAX_LIST + 1), COUNT_VALUES, [], []],
  "counts with holes": ["ended", [], new Array(COUNTS.length), [], []],
  "many endings": ["ended", [], COUNT_VALUES, [], new Array(2 ** 32 - 1)],
  "a list that is none": ["ended", { length: 1e9 }, COUNT_VALUES, [], []],
  "fields of another type": ["event", "requestEnd", {
    clientAddress: CLIENT,
    duration: "long",
  }],
  "bytes for an object": ["event", "requestEnd", new Uint8Array(2 ** 23)],
  "no client": ["event", "connection", {}],
  "a client of null": ["event", "connection", { clientAddress: null }],
  "an end without its bytes": ["event", "requestEnd", {
    clientAddress: CLIENT,
    duration: 1,
    failed: false,
  }],
  "an error without one": ["event", "error", { clientAddress: null }],
  "a long reason": ["event", "refusal", {
    clientAddress: CLIENT,
    reason: "x".repeat(1e6),
  }],
  "a long name": ["opened", 1, { ...CLIENT, hostname: "x".repeat(1e6) }],
  "a long path": ["opened", 1, {
    transport: "unix",
    path: "x".repeat(1e6),
  }],
  "bytes that can still change": new Uint8Array(new SharedArrayBuffer(12)),
  "a name that is a list": [["done"]],
  "nothing": undefined,
};

Deno.test("a replica's messages are taken if they have their shape", () => {
  for (const [what, message] of Object.entries(MESSAGES)) {
    assertEquals(decodeFromReplica(message), message as never, what);
  }
});

Deno.test("a replica's message with another shape is refused without a walk through it", () => {
  for (const [what, message] of Object.entries(LIES)) {
    const refused = assertThrows(() => decodeFromReplica(message), TypeError);
    assertEquals(refused.message.includes("malformed or unknown"), true, what);
  }
});

Deno.test("detailsOf() takes the fields of an event, and none of others", () => {
  const many = Array.from({ length: 1_000 }, (_, i) => [`field ${i}`, i]);
  const details = { clientAddress: CLIENT, duration: 1, failed: undefined };
  assertEquals(
    detailsOf({
      ...Object.fromEntries(many),
      ...details,
      clientAddress: { ...CLIENT, more: 1 },
    }),
    { clientAddress: CLIENT, duration: 1 },
  );
  assertEquals(detailsOf({ clientAddress: null }), { clientAddress: null });
});
