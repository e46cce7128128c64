/**
 * The private socket to which child processes connect.
 *
 * @module
 */
import {
  type ChannelConn,
  type ChildLink,
  LINK_VARIABLE,
} from "../line/socket_line.ts";
import { type ChannelNeed, type ChannelNeeds, isGranted } from "./launch.ts";

const ENV_NEED = { item: LINK_VARIABLE, similar: `${LINK_VARIABLE}_` };
/** The length of a secret: that of a UUID. */
const SECRET_LENGTH = 36;
/**
 * How long to wait after a failed accept, for example without a free
 * descriptor.
 */
const RETRY_INTERVAL = 20;

/** A child that has not connected yet. */
export interface ExpectedChild {
  /** Its address. */
  connect: ChildLink["connect"];
  /** The permissions that the connection needs. */
  needs: ChannelNeeds;
  /** The folder of the private socket, to be removed at the end. */
  folder: string | null;
  /** Its first message. */
  secret: string;
  /** Its connection, or `null` if it never connected. */
  conn: Promise<ChannelConn | null>;
  /** Stops expecting it. */
  cancel(): void;
}

/** How long a new connection may take to send its secret. */
const GREETING_LIMIT = 5_000;
/** Most connections without a secret. Beyond that, the oldest is closed. */
const MAX_STRANGERS = 64;

type PrivateConn = Deno.TcpConn | Deno.UnixConn;

class Rendezvous {
  readonly connect: ChildLink["connect"];
  readonly needs: ChannelNeeds;
  #listener: Deno.Listener<PrivateConn>;
  #folder: string | null;
  #expected = new Map<string, (conn: ChannelConn | null) => void>();
  #strangers = new Set<PrivateConn>();
  closed = false;
  #tidy = (): void => {
    if (this.#folder !== null) removeFolder(this.#folder);
  };

  constructor() {
    const inFolder = listenInFolder();
    if (inFolder !== null) {
      const { folder, path, listener } = inFolder;
      this.#folder = folder;
      this.#listener = listener;
      this.connect = { transport: "unix", path };
      const file: ChannelNeed = { item: path, similar: `${path}-` };
      const net = { item: `unix:${path}`, similar: `unix:${path}-` };
      this.needs = { read: file, write: file, net, env: ENV_NEED };
    } else {
      this.#folder = null;
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

  async #accept(): Promise<void> {
    while (!this.closed) {
      try {
        this.#greet(await this.#listener.accept());
      } catch {
        if (this.closed) return;
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
    // It is already closed if the last expected child has ended
    const known = this.#settle(new TextDecoder().decode(secret), conn);
    if (!known) conn[Symbol.dispose]();
    else if ("setNoDelay" in conn) conn.setNoDelay();
  }

  /** Closes a stranger's connection: its read fails and ends it. */
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
    this.closed = true;
    this.#listener.close();
    for (const conn of this.#strangers) this.#dismiss(conn);
    removeEventListener("unload", this.#tidy);
    this.#tidy();
  }
}

/**
 * Listens in a folder that only this user can read, if there are Unix sockets
 * and a writable folder for temporary files whose path is short enough.
 */
function listenInFolder() {
  const names = ["read", "write", "net"] as const;
  const isAllowed = names.every((name) => isGranted({ name }));
  if (Deno.build.os === "windows" || !isAllowed) return null;
  let folder: string | undefined;
  try {
    folder = Deno.makeTempDirSync({ prefix: "deno-socketserver-" });
    const path = `${folder}/s`;
    const listener = Deno.listen({ transport: "unix", path });
    return { folder, path, listener };
  } catch {
    // The loopback interface does as well
    if (folder !== undefined) removeFolder(folder);
    return null;
  }
}

function removeFolder(folder: string): void {
  try {
    Deno.removeSync(folder, { recursive: true });
  } catch {
    // Another program has removed the temporary files
  }
}

let rendezvous: Rendezvous | undefined;

/**
 * Expects a child. The socket exists only while children connect.
 *
 * @returns The expected child.
 */
export function expectChild(): ExpectedChild {
  if (rendezvous === undefined || rendezvous.closed) {
    rendezvous = new Rendezvous();
  }
  return rendezvous.expect();
}
