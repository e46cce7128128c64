export { Activity } from "./_activity.ts";
export type { ActivityOptions } from "./_activity_options.ts";
