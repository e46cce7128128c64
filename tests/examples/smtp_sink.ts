/** An SMTP server that keeps what it gets. `python3 -m smtplib` knows how to talk to it. */

// deno-lint-ignore-file no-console
import { StreamRequestHandler, TCPServer } from "@socketserver/socketserver";

const decoder = new TextDecoder();

export interface Message {
  from: string;
  to: string[];
  text: string;
}

export class SmtpHandler extends StreamRequestHandler<Message[]> {
  override timeout = 300_000;

  override async handle() {
    let message: Message = { from: "", to: [], text: "" };
    await this.#say("220 sink ready");
    for await (const line of this.rfile) {
      const [verb = ""] = line.toUpperCase().split(" ");
      const address = /<(.*)>/.exec(line)?.[1] ?? "";
      if (verb === "HELO" || verb === "EHLO") await this.#say("250 sink");
      else if (verb === "RSET") {
        message = { from: "", to: [], text: "" };
        await this.#say("250 ok");
        this.endRequest();
      } else if (verb === "QUIT") return await this.#say("221 bye");
      else if (verb === "DATA") {
        await this.#say("354 end with a line that has only a dot");
        message.text = await this.#readText();
        this.server.context.push(message);
        message = { from: "", to: [], text: "" };
        await this.#say("250 kept");
        this.endRequest();
      } else if (verb === "MAIL" || verb === "RCPT") {
        // A mail takes several answers; a server that closes waits for the last
        this.beginRequest();
        if (verb === "MAIL") message.from = address;
        else message.to.push(address);
        await this.#say("250 ok");
      } else await this.#say("502 unknown");
    }
  }

  async #readText(): Promise<string> {
    const lines: string[] = [];
    while (true) {
      // Not readLine(): a dot after a bare "\n" must not end the message
      const bytes = await this.rfile.readUntil("\r\n");
      const line = decoder.decode(bytes.subarray(0, -2));
      if (line === ".") return lines.join("\n");
      lines.push(line.replace(/^\./, ""));
    }
  }

  async #say(line: string): Promise<void> {
    await this.wfile.write(`${line}\r\n`);
  }
}

if (import.meta.main) {
  const context: Message[] = [];
  const server = new TCPServer({ port: 2525 }, SmtpHandler, { context });
  await server.serveForever({ signals: ["SIGINT"] });
  await server.serverClose();
  for (const { from, to } of context) console.log(`${from} -> ${to}`);
}
