/**
 * The port of a server with replicas, and how they share it.
 *
 * @module
 */

import type { RunnerKind } from "../../workers/runner/runner.ts";
import type { OpenListener } from "../_internal.ts";
import type { BaseServer } from "../base_server.ts";
import type { ReplicaOptions } from "../options.ts";
import {
  bindShared,
  NoSharing,
  type PortSharing,
  whyNotShared,
} from "./port_sharing.ts";

/** A server's listener, shared with its replicas if possible. */
export class ServerPort {
  #server: BaseServer;
  #kind: RunnerKind;
  #options: ReplicaOptions;
  #sharing: PortSharing = new NoSharing();

  /**
   * Constructs it before the address is bound.
   *
   * @throws {TypeError} If the port must be shared and can't be.
   */
  constructor(server: BaseServer, kind: RunnerKind, options: ReplicaOptions) {
    this.#server = server;
    this.#kind = kind;
    this.#options = options;
    const why = this.#whyNotShared();
    if (options.dispatch === "shard" && why !== null) throw refusal(why);
  }

  /** How it is shared, once it is bound. */
  get sharing(): PortSharing {
    return this.#sharing;
  }

  /** Opens the listener by the best way there is. */
  open(address: Deno.NetAddr, open: OpenListener): Deno.TcpListener {
    const { dispatch = "auto" } = this.#options;
    const shares = dispatch === "auto" || dispatch === "shard";
    if (!shares || this.#whyNotShared() !== null) return open(address, {});
    const [listener, sharing] = bindShared(this.#kind, address, open);
    if (dispatch === "shard" && sharing.name === null) {
      listener.close();
      throw refusal("this version of Deno can't share a port");
    }
    this.#sharing = sharing;
    return listener;
  }

  /** Makes the server leave connections to its replicas, or take them. */
  mute(muted: boolean): void {
    const { acceptor } = this.#server;
    if (acceptor === null) return;
    this.#server.acceptor = this.#sharing.mute(acceptor, muted);
  }

  #whyNotShared(): string | null {
    const { serverAddress } = this.#server;
    return whyNotShared(this.#kind, serverAddress, this.#options);
  }
}

function refusal(why: string): TypeError {
  return new TypeError(
    `Cannot use "shard" as "dispatch": ${why}; use "auto" or "relay"`,
  );
}
