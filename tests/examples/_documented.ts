/** Where documentation is: files, and folders with those in them. */
export const DOCUMENTED = [
  "mod.ts",
  "server",
  "handlers",
  "workers",
  "README.md",
];
