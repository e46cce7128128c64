/** Runs what clients send, in a place that may do nothing. `echo 'Math.sqrt(2)' | nc 127.0.0.1 7002` */

import {
  ForkingTCPServer,
  StreamRequestHandler,
} from "@socketserver/socketserver";

export class CalculatorHandler extends StreamRequestHandler {
  override async handle() {
    for await (const line of this.rfile) {
      let answer: string;
      try {
        // The client's code can use the processor and memory of one child process
        answer = String(await new Function(`return (${line})`)());
      } catch (error) {
        answer = String(error);
      }
      await this.wfile.write(`${answer.split("\n")[0]}\n`);
    }
  }
}

if (import.meta.main) {
  const server = new ForkingTCPServer({ port: 7002 }, CalculatorHandler, {
    module: import.meta.url,
    permissions: "none",
  });
  await server.serveForever({ signals: ["SIGINT"] });
  await server.serverClose();
}
