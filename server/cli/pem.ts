/**
 * Certificates and keys on the command line.
 *
 * @module
 */

import type { ServeCommand } from "./args.ts";
import { UsageError } from "./problems.ts";

/** Reads the files of `--cert` and `--key`. */
export async function readTls(
  { cert, key }: ServeCommand["options"],
): Promise<{ cert: string; key: string } | null> {
  if (cert === undefined || key === undefined) return null;
  return {
    cert: await readPem("cert", cert),
    key: await readPem("key", key),
  };
}

/** Reads the file that an option names. */
export async function readPem(option: string, path: string): Promise<string> {
  const text = await Deno.readTextFile(path).catch((error) => {
    throw new UsageError(
      `Cannot read "${path}" as --${option}: ${error.message}`,
      { cause: error },
    );
  });
  if (text.includes("-----BEGIN ")) return text;
  throw new UsageError(
    `Cannot use "${path}" as --${option}: it holds nothing in PEM`,
  );
}
