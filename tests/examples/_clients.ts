/** Runs clients that others wrote; tests are skipped where they are missing. */

function isInstalled(command: string): boolean {
  const paths = (Deno.env.get("PATH") ?? "").split(":");
  return paths.some((path) => {
    try {
      return Deno.statSync(`${path}/${command}`).isFile;
    } catch {
      return false;
    }
  });
}

/** A test that needs a command; skipped with a line where it is missing. */
export function testWith(
  command: string,
  name: string,
  fn: () => Promise<void>,
): void {
  const ignore = !isInstalled(command);
  // deno-lint-ignore no-console
  if (ignore) console.log(`${command} is not installed, skipped: ${name}`);
  Deno.test({ name, ignore, fn });
}

/** Runs a client to its end and gives what it printed. */
export async function run(
  command: string,
  args: (string | number)[],
  input = "",
): Promise<string> {
  const child = new Deno.Command(command, {
    args: args.map(String),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const written = writer.write(new TextEncoder().encode(input))
    .then(() => writer.close()).catch(() => {}); // it may read nothing
  const { success, stdout, stderr } = await child.output();
  await written;
  const text = new TextDecoder().decode(stdout);
  if (success) return text;
  const told = new TextDecoder().decode(stderr);
  throw new Error(`${command} ${args.join(" ")} failed: ${text}${told}`);
}

/** Sends lines over a connection and gives as many answers. */
export async function ask(
  address: Deno.ConnectOptions,
  ...lines: string[]
): Promise<string[]> {
  using conn = await Deno.connect(address);
  await conn.write(new TextEncoder().encode(lines.join("\n") + "\n"));
  await conn.closeWrite();
  const text = await new Response(conn.readable).text();
  return text.trimEnd().split("\n");
}
