/** Classes for --handler: some can be served, some can't. */

import {
  DatagramRequestHandler,
  StreamRequestHandler,
} from "../../handlers/mod.ts";

export class NotAHandler {}

export class Packets extends DatagramRequestHandler {
  override handle(): void {}
}

export class Stream extends StreamRequestHandler {
  override handle(): void {}
}
