/**
 * The programs that a machine has, and those of `loadgen.c`, `epoll.c` and
 * `go_net.go`, which are built first.
 *
 * @module
 */

export const FOLDER_PATH: string = new URL(".", import.meta.url).pathname;

/** Runs a program to its end; `null` if it fails or isn't there. */
export async function output(
  command: string,
  args: string[],
): Promise<string | null> {
  try {
    const process = new Deno.Command(command, { args, stderr: "null" });
    const { success, stdout } = await process.output();
    return success ? new TextDecoder().decode(stdout) : null;
  } catch {
    return null;
  }
}

/** The commands of the programs that are there, by their names. */
export type Tools = Map<string, string>;

/** Finds programs, and builds others into a folder. */
export async function findTools(dir: string): Promise<Tools> {
  const tools: Tools = new Map([["deno", Deno.execPath()]]);
  for (const name of ["node", "python3", "bun", "redis-benchmark"]) {
    if (await output(name, ["--version"]) !== null) tools.set(name, name);
  }
  for (const name of ["loadgen", "epoll"]) {
    const args = ["-O2", "-o", `${dir}/${name}`, `${FOLDER_PATH}${name}.c`];
    if (await output("cc", args) !== null) tools.set(name, `${dir}/${name}`);
  }
  const args = ["build", "-o", `${dir}/go_net`, `${FOLDER_PATH}go_net.go`];
  if (await output("go", args) !== null) tools.set("go_net", `${dir}/go_net`);
  return tools;
}
