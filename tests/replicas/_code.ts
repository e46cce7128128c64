/** The code of a handler, which a test rewrites while a server runs it. */

const ROOT = new URL("../..", import.meta.url).pathname;

const HANDLER = `import { StreamRequestHandler } from "${ROOT}handlers/mod.ts";
import { word } from "./word.ts";
export class Saying extends StreamRequestHandler {
  static readonly module = import.meta.url;
  override async handle() {
    await this.wfile.write(word + "\\n");
    await this.request.read(new Uint8Array(10));
    await this.wfile.write(word + "\\n");
  }
}`;

/** A handler's modules, which a test rewrites. */
export class Code implements AsyncDisposable {
  readonly dir: string = Deno.makeTempDirSync();

  constructor() {
    Deno.writeTextFileSync(`${this.dir}/handler.ts`, HANDLER);
  }

  /** Gives the handler another word to say. */
  async say(word: string): Promise<void> {
    await this.write(`export const word = "${word}";`);
  }

  /** Rewrites what the handler imports. */
  async write(text: string): Promise<void> {
    await Deno.writeTextFile(`${this.dir}/word.ts`, text);
  }

  async load() {
    return (await import(`file://${this.dir}/handler.ts`)).Saying;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}
