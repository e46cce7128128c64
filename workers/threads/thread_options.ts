/**
 * The options of threads and processes.
 *
 * @module
 */

/**
 * Options of a {@linkcode Thread} or {@linkcode Process}. The compiler checks
 * `args` against the parameters of `target` if that is a function.
 *
 * @typeParam T The type of the result.
 * @typeParam A The parameters of the target; `never[]` if they aren't known.
 */
export type ThreadOptions<
  T = unknown,
  A extends readonly unknown[] = never[],
> =
  & {
    /**
     * The function to run, which `module` exports, or its export's name. Leave it
     * out in a class that overrides `run()`.
     */
    target?: ((...args: [...A]) => T | Promise<T>) | string;
    /**
     * The name.
     *
     * @default {"Thread-N (target)" or "Process-N (target)"}
     */
    name?: string;
    /**
     * Whether the program may end while this runs. Where a version of Deno can't
     * unref a `Worker`, the program also waits for daemon threads.
     *
     * @default {that of the current thread, or of the current process}
     */
    daemon?: boolean;
    /**
     * The module that exports `target` or the class, nearly always
     * `import.meta.url`.
     *
     * @default {the class's `static module`}
     */
    module?: string | URL;
    /**
     * The permissions of the code. For a thread, anything but `"inherit"` needs
     * `--unstable-worker-options`. There it guards against mistakes only: run
     * hostile code in a {@linkcode Process}.
     *
     * @default {"inherit"}
     */
    permissions?: Deno.PermissionOptions;
  }
  & (
    (A extends never[] ? never[] extends A ? true : false : false) extends true
      ? {
        /**
         * The arguments of `target`, copied by structured clone.
         *
         * @default {[]}
         */
        args?: readonly unknown[];
      }
      : [] extends A ? { args?: Readonly<NoInfer<A>> }
      : { args: Readonly<NoInfer<A>> }
  );

/** Options of a {@linkcode Process}. */
export type ProcessOptions<
  T = unknown,
  A extends readonly unknown[] = never[],
> = ThreadOptions<T, A>;
