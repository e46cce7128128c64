/**
 * Stands in for `jsr:@std/assert` where the JSR can't be reached: the same code as plain JavaScript from npm,
 * with type declarations of our own.
 *
 * @module
 */
// @ts-types="./assert.d.ts"
export * from "npm:deno-std@1.4.0/assert/mod.js";
