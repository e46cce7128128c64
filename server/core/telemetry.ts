/**
 * The events of a server. They cost nothing without listeners.
 *
 * @module
 */

import type { Channel } from "node:diagnostics_channel";
import type { ServerEvents } from "../server_events.ts";
import { printError } from "./error_report.ts";

/** An event's name. */
export type EventName = keyof ServerEvents;
/** An event's fields without the server. */
export type Details<K extends EventName> = Omit<
  ServerEvents[K],
  "serverAddress"
>;
/** A listener. */
export type Listener<K extends EventName = EventName> = (
  event: ServerEvents[K],
) => void;
/** Emits an event. */
export type Emit = <K extends EventName>(name: K, details: Details<K>) => void;
type AnyListener = (event: unknown) => void;

/** All events. */
export const EVENT_NAMES: readonly EventName[] = [
  "connection",
  "requestEnd",
  "refusal",
  "error",
  "replicaStart",
  "replicaExit",
  "replicaReplace",
  "replicaStall",
  "drainStart",
  "drainEnd",
];

/** The events of one server. */
export class Telemetry {
  #server: { readonly serverAddress: Deno.Addr };
  #listeners: Map<EventName, Set<AnyListener>> = new Map();
  #channels: Map<EventName, Channel> | null = null;
  #forward: Emit | null = null;
  #forwarded: ReadonlySet<EventName> = new Set();

  constructor(server: { readonly serverAddress: Deno.Addr }) {
    this.#server = server;
  }

  /** The events that have listeners. */
  get watched(): EventName[] {
    return EVENT_NAMES.filter((name) => this.isWatched(name));
  }

  on<K extends EventName>(name: K, listener: Listener<K>): void {
    if (!EVENT_NAMES.includes(name)) {
      throw new TypeError(
        `Cannot listen to "${name}": expected one of ${EVENT_NAMES.join(", ")}`,
      );
    }
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener as AnyListener));
  }

  off<K extends EventName>(name: K, listener: Listener<K>): void {
    const listeners = this.#listeners.get(name);
    listeners?.delete(listener as AnyListener);
    if (listeners?.size === 0) this.#listeners.delete(name);
  }

  /** Opens the diagnostics channels. A thread's first call takes 3 ms. */
  async openChannels(): Promise<void> {
    if (this.#channels !== null) return;
    const { channel } = await import("node:diagnostics_channel");
    this.#channels = new Map(
      EVENT_NAMES.map((name) => [name, channel(`socketserver:${name}`)]),
    );
  }

  /** Makes others emit the events of these names only. */
  forward(names: readonly EventName[], forward: Emit): void {
    this.#forwarded = new Set(names);
    this.#forward = forward;
  }

  /** Whether an event has listeners. */
  isWatched(name: EventName): boolean {
    if (this.#forward !== null) return this.#forwarded.has(name);
    return this.#listeners.has(name) ||
      this.#channels?.get(name)?.hasSubscribers === true;
  }

  /** Emits an event. An error of a listener is printed. */
  emit<K extends EventName>(name: K, details: Details<K>): void {
    if (this.#forward !== null) {
      if (this.#forwarded.has(name)) this.#forward(name, details);
      return;
    }
    const { serverAddress } = this.#server;
    const event = { serverAddress, ...details };
    const listeners: AnyListener[] = [...this.#listeners.get(name) ?? []];
    const channel = this.#channels?.get(name);
    if (channel?.hasSubscribers) listeners.push((e) => channel.publish(e));
    for (const listener of listeners) {
      try {
        listener(event);
      } catch (error) {
        printError(error, null, `a listener for "${name}"`);
      }
    }
  }
}
