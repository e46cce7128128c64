/** HTTP/1.1 by hand: persistent connections and bodies. `curl http://127.0.0.1:8000/name` */

import { Buffer } from "node:buffer";
import { StreamRequestHandler, TCPServer } from "@socketserver/socketserver";

const REQUEST_REGEXP = /^([A-Z]+) (\S+) HTTP\/1\.([01])$/;
const HEADER_REGEXP = /^([\w!#$%&'*+.^`|~-]+):[ \t]*(.*)$/;
const END_REGEXP = /[ \t]+$/;

export class HttpHandler extends StreamRequestHandler {
  override async handle() {
    const { rfile } = this;
    for (let line; (line = await rfile.readLine()) !== null;) {
      const [, method = "", path, minor] = REQUEST_REGEXP.exec(line) ?? [];
      const lengths = new Set<string>();
      let stays = minor === "1";
      let refusal = method === "" ? "400 Bad Request" : "";
      while ((line = rfile.tryReadLine() ?? await rfile.readLine()) !== "") {
        if (line === null) return; // the client left in the middle
        const [, name = "", value = ""] = HEADER_REGEXP.exec(line) ?? [];
        if (name === "") refusal = "400 Bad Request";
        const key = name.toLowerCase();
        if (key === "content-length") {
          lengths.add(value.replace(END_REGEXP, ""));
        } else if (key === "transfer-encoding") {
          refusal ||= "501 Not Implemented";
        } else if (key === "connection") {
          stays = /^keep-alive[ \t]*$/i.test(value);
        }
      }
      const [length = "0"] = lengths; // two would hide a second request
      if (lengths.size > 1 || !/^\d+$/.test(length)) {
        refusal = "400 Bad Request";
      } else if (Number(length) > 1_000_000) {
        refusal ||= "413 Content Too Large";
      }
      if (refusal !== "") {
        await this.#send(refusal, "", false, method);
        return;
      }
      const body = length === "0" ? "" : await rfile.readText(Number(length));
      const answer = `${method} ${path} ${body}\n`;
      await this.#send("200 OK", answer, stays, method);
      if (!stays) return;
    }
  }

  #send(status: string, body: string, stays: boolean, method: string) {
    const length = Buffer.byteLength(body);
    return this.wfile.write(
      `HTTP/1.1 ${status}\r\nContent-Length: ${length}\r\n` +
        `Connection: ${stays ? "keep-alive" : "close"}\r\n\r\n` +
        (method === "HEAD" ? "" : body),
    );
  }
}

if (import.meta.main) {
  const server = new TCPServer({ port: 8000 }, HttpHandler, {
    idleTimeout: 30_000,
  });
  await server.serveForever({ signals: ["SIGINT"] });
  await server.serverClose();
}
