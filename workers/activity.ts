export { Activity, type ActivityOptions } from "./_activity.ts";
