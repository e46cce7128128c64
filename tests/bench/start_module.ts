/** A user's module, for `start.ts`. */
import "../../mod.ts";

export function first(): void {}
