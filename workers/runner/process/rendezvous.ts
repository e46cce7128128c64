/**
 * The private socket at which this program's children come in.
 *
 * @module
 */
import type { ChannelConn } from "./channel.ts";
import type { ChannelNeed, ChannelNeeds, Revocation } from "./permissions.ts";

/** The environment variable that tells a child its {@linkcode ChildLink}. */
export const LINK_VARIABLE = "DENO_SOCKETSERVER_LINK";
const ENV_NEED = { item: LINK_VARIABLE, similar: `${LINK_VARIABLE}_` };
/** The length of a secret: that of a UUID. */
const SECRET_LENGTH = 36;
/** How long to wait after a failed accept: for descriptors, say. */
const RETRY_INTERVAL = 20;

/** Where a child connects, and what it says there first. */
export interface ChildLink {
  /** What to connect to. */
  connect: Deno.UnixConnectOptions | Deno.ConnectOptions;
  /** What proves that it is the child. */
  secret: string;
  /** What it gives up then. */
  revoke: Revocation[];
  /** Whether it lives through an interrupt. */
  ignoreInterrupt: boolean;
}

/** A child that has not come in yet. */
export interface ExpectedChild {
  /** Where it connects. */
  connect: ChildLink["connect"];
  /** What that takes. */
  needs: ChannelNeeds;
  /** The folder of the private socket, for whoever tidies up. */
  folder: string | null;
  /** What it says first. */
  secret: string;
  /** Its connection, or `null` if it never came. */
  conn: Promise<ChannelConn | null>;
  /** Stops expecting it. */
  cancel(): void;
}

/** How long one that comes in may take to say its secret. */
const GREETING_LIMIT = 5_000;
/** With more than these that have not said it, the first of them must go. */
const MAX_STRANGERS = 64;

type PrivateConn = Deno.TcpConn | Deno.UnixConn;

function hasAll(...names: ("read" | "write" | "net")[]): boolean {
  return names.every((name) => {
    const { state, partial } = Deno.permissions.querySync({ name });
    return state === "granted" && !partial;
  });
}

class Rendezvous {
  readonly connect: ChildLink["connect"];
  readonly needs: ChannelNeeds;
  #listener: Deno.Listener<PrivateConn>;
  #folder: string | null;
  #expected = new Map<string, (conn: ChannelConn | null) => void>();
  #strangers = new Set<PrivateConn>();
  #closed = false;
  #tidy = (): void => {
    if (this.#folder === null) return;
    try {
      Deno.removeSync(this.#folder, { recursive: true });
    } catch {
      // Somebody tidied the temporary files: just as well.
    }
  };

  constructor() {
    this.#folder = this.#makeFolder();
    if (this.#folder !== null) {
      const path = `${this.#folder}/s`;
      this.#listener = Deno.listen({ transport: "unix", path });
      this.connect = { transport: "unix", path };
      const file: ChannelNeed = { item: path, similar: `${path}-` };
      const net = { item: `unix:${path}`, similar: `unix:${path}-` };
      this.needs = { read: file, write: file, net, env: ENV_NEED };
    } else {
      const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const { hostname, port } = listener.addr;
      this.#listener = listener;
      this.connect = { hostname, port };
      const net = { item: `${hostname}:${port}`, similar: hostname };
      this.needs = { net, env: ENV_NEED };
    }
    addEventListener("unload", this.#tidy);
    this.#accept();
  }

  get closed(): boolean {
    return this.#closed;
  }

  expect(): ExpectedChild {
    const secret = crypto.randomUUID();
    const { promise, resolve } = Promise.withResolvers<ChannelConn | null>();
    this.#expected.set(secret, resolve);
    return {
      connect: this.connect,
      needs: this.needs,
      folder: this.#folder,
      secret,
      conn: promise,
      cancel: () => this.#settle(secret, null),
    };
  }

  /** A folder that is this user's alone, where Unix sockets can be had. */
  #makeFolder(): string | null {
    if (Deno.build.os === "windows" || !hasAll("read", "write", "net")) {
      return null;
    }
    const folder = Deno.makeTempDirSync({ prefix: "deno-socketserver-" });
    // Longer ones don't fit into a socket's address, the name included.
    if (folder.length <= 105) return folder;
    Deno.removeSync(folder);
    return null;
  }

  async #accept(): Promise<void> {
    while (!this.#closed) {
      try {
        this.#greet(await this.#listener.accept());
      } catch {
        if (this.#closed) return;
        await new Promise((resolve) => setTimeout(resolve, RETRY_INTERVAL));
      }
    }
  }

  async #greet(conn: PrivateConn): Promise<void> {
    const [first] = this.#strangers;
    if (this.#strangers.size >= MAX_STRANGERS) this.#dismiss(first!);
    this.#strangers.add(conn);
    const timer = setTimeout(() => this.#dismiss(conn), GREETING_LIMIT);
    const secret = new Uint8Array(SECRET_LENGTH);
    let length = 0;
    try {
      while (length < SECRET_LENGTH) {
        const count = await conn.read(secret.subarray(length));
        if (count === null) break;
        length += count;
      }
    } catch {
      length = 0;
    }
    clearTimeout(timer);
    this.#strangers.delete(conn);
    // When the last child that was expected has ended, it is closed already
    const known = this.#settle(new TextDecoder().decode(secret), conn);
    if (!known) conn[Symbol.dispose]();
    else if ("setNoDelay" in conn) conn.setNoDelay();
  }

  /** Lets a stranger's read fail, which does the rest. */
  #dismiss(conn: PrivateConn): void {
    if (this.#strangers.delete(conn)) conn.close();
  }

  #settle(secret: string, conn: ChannelConn | null): boolean {
    const resolve = this.#expected.get(secret);
    if (resolve === undefined) return false;
    this.#expected.delete(secret);
    resolve(conn);
    if (this.#expected.size === 0) this.#close();
    return true;
  }

  #close(): void {
    this.#closed = true;
    this.#listener.close();
    for (const conn of this.#strangers) this.#dismiss(conn);
    removeEventListener("unload", this.#tidy);
    this.#tidy();
  }
}

let rendezvous: Rendezvous | undefined;

/**
 * Expects a child, at a socket that is there only while children come in.
 *
 * @returns The child to be.
 */
export function expectChild(): ExpectedChild {
  if (rendezvous === undefined || rendezvous.closed) {
    rendezvous = new Rendezvous();
  }
  return rendezvous.expect();
}
