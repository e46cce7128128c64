export { Activity } from "./_activity_base.ts";
export type { ActivityOptions } from "./_options.ts";
