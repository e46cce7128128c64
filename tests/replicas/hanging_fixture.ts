/** A module that never has done with loading, but in the test's own thread. */

import { RequestHandler } from "../../handlers/mod.ts";

if (!("servesTests" in globalThis)) await new Promise(() => {});

/** Never made. */
export class Hanging extends RequestHandler {
  static readonly module = import.meta.url;
  override handle(): void {}
}
