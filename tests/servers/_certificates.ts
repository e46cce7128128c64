/** A certificate for localhost, and the authority that signed it. */

const FOLDER = new URL("./certificates/", import.meta.url);

/** One of the files. */
export function read(
  name: "ca" | "cert" | "key" | "other_cert" | "other_key",
): string {
  return Deno.readTextFileSync(new URL(`${name}.pem`, FOLDER));
}

/** The options of a server. */
export const tls: { readonly cert: string; readonly key: string } = {
  cert: read("cert"),
  key: read("key"),
};

/** Another certificate, which signs itself. */
export const otherTls: typeof tls = {
  cert: read("other_cert"),
  key: read("other_key"),
};

/** The authority, for clients. */
export const CA_PATH: string = new URL("ca.pem", FOLDER).pathname;
