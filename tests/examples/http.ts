/** HTTP/1.1 by hand: persistent connections and bodies. `curl http://127.0.0.1:8000/name` */

import { StreamRequestHandler, TCPServer } from "@socketserver/socketserver";

const MAX_BODY_BYTES = 1_000_000;

export class HttpHandler extends StreamRequestHandler {
  override timeout = 30_000;

  override async handle() {
    for (let line; (line = await this.rfile.readLine()) !== null;) {
      const [method = "", path = "", version = ""] = line.split(" ");
      const headers = new Headers();
      for (let header; (header = await this.rfile.readLine());) {
        const colon = header.indexOf(":");
        headers.append(header.slice(0, colon), header.slice(colon + 1).trim());
      }
      const length = Number(headers.get("content-length") ?? 0);
      if (!(length <= MAX_BODY_BYTES)) return await this.#send(413, "", false);
      const body = new TextDecoder().decode(await this.rfile.readExact(length));
      const wish = headers.get("connection")?.toLowerCase();
      const stays = version === "HTTP/1.1"
        ? wish !== "close"
        : wish === "keep-alive";
      await this.#send(200, `${method} ${path} ${body}\n`, stays);
      if (!stays) return;
    }
  }

  async #send(status: number, body: string, stays: boolean): Promise<void> {
    const length = new TextEncoder().encode(body).length;
    await this.wfile.write(
      `HTTP/1.1 ${status} ${status === 200 ? "OK" : "Refused"}\r\n` +
        `Content-Length: ${length}\r\n` +
        `Connection: ${stays ? "keep-alive" : "close"}\r\n\r\n${body}`,
    );
  }
}

if (import.meta.main) {
  const server = new TCPServer({ port: 8000 }, HttpHandler);
  await server.serveForever({ signals: ["SIGINT"] });
  await server.serverClose();
}
