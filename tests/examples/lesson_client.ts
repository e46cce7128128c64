/** The lesson's client: sends what you type, prints what comes. Ctrl-D ends it. */
// deno-lint-ignore-file no-console

import { BufferedReader } from "@socketserver/socketserver";

const encoder = new TextEncoder();
const input = new BufferedReader(Deno.stdin);
using sk = await Deno.connect({ port: Number(Deno.args[0] ?? 8080) });
const data = new Uint8Array(1_024);
while (true) {
  await Deno.stdout.write(encoder.encode(">>"));
  const raw = (await input.readLine())?.trim();
  if (raw === undefined) break;
  if (raw === "") continue; // nothing would come back
  await sk.write(encoder.encode(raw));
  const n = await sk.read(data);
  if (n === null) break;
  console.log(new TextDecoder().decode(data.subarray(0, n)));
}
