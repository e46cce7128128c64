/** A chat room: what one client says, all others read. `nc 127.0.0.1 7000` */

import {
  type BufferedWriter,
  StreamRequestHandler,
  TCPServer,
} from "@socketserver/socketserver";

/** Handlers on the event loop share memory, so the room is a plain Map. */
const room = new Map<string, BufferedWriter>();

async function tell(from: string, text: string): Promise<void> {
  for (const [name, wfile] of room) {
    if (name !== from) await wfile.write(`${text}\n`).catch(() => {});
  }
}

export class ChatHandler extends StreamRequestHandler {
  override async handle() {
    await this.wfile.write("Your name?\n");
    const name = await this.rfile.readLine();
    if (!name || room.has(name)) return;
    room.set(name, this.wfile);
    this.endRequest(); // what is said has no answer to wait for
    try {
      await tell(name, `* ${name} came`);
      for await (const line of this.rfile) await tell(name, `${name}: ${line}`);
    } finally {
      room.delete(name);
      await tell(name, `* ${name} left`);
    }
  }
}

if (import.meta.main) {
  const server = new TCPServer({ port: 7000 }, ChatHandler);
  await server.serveForever({ signals: ["SIGINT"] });
  await server.serverClose();
}
