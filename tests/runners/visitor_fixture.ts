/** A handler that shares locks and queues with its parent. */

import { StreamRequestHandler } from "../../handlers/mod.ts";
import type { Lock, SharedQueue } from "../../mod.ts";
import { visit } from "./sharing_targets.ts";

export class Visitor
  extends StreamRequestHandler<{ lock: Lock; log: SharedQueue<string> }> {
  static readonly module = import.meta.url;
  override async handle() {
    const { lock, log } = this.server.context;
    await visit(lock, log, 1);
    await this.wfile.write("visited\n");
  }
}
