/** A module that ends whatever replica loads it. */

import { RequestHandler } from "../../handlers/mod.ts";

if (!("servesTests" in globalThis)) Deno.exit(7);

/** Never made. */
export class Exiting extends RequestHandler {
  static readonly module = import.meta.url;
  override handle(): void {}
}
