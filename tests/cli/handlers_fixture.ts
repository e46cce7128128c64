/** Classes that the command line is told to serve, rightly or not. */

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
