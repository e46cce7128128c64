/**
 * Certificates and keys on the command line.
 *
 * @module
 */

import { UsageError } from "./args.ts";

/** Reads the files of `--cert` and `--key`. */
export async function readTls(
  { cert, key }: { cert: string; key: string },
): Promise<{ cert: string; key: string }> {
  return {
    cert: await readPem("cert", cert),
    key: await readPem("key", key),
  };
}

/** Reads the file that an option names. */
export async function readPem(option: string, path: string): Promise<string> {
  const text = await readText(option, path);
  if (text.includes("-----BEGIN ")) return text;
  throw new UsageError(
    `Cannot use "${path}" as --${option}: it holds nothing in PEM`,
  );
}

async function readText(option: string, path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new UsageError(
      `Cannot read "${path}" as --${option}: ${error.message}`,
      { cause: error },
    );
  }
}
