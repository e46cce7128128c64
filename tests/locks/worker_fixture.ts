/** A thread that does the jobs of `_jobs.ts`, one after the other's start. */
import { pack, unpack } from "../../workers/queue/_sync.ts";
import { webLocks } from "../../workers/runner/runner.ts";
import * as jobs from "./_jobs.ts";

interface Order {
  id: number;
  job: keyof typeof jobs;
  sync: boolean;
  args: unknown[];
}

type Job = (sync: boolean, ...args: unknown[]) => unknown;

const scope = self as unknown as {
  name: string;
  onmessage: (event: MessageEvent<unknown>) => void;
  postMessage(message: unknown): void;
};

const alive = new Promise<void>((resolve) => {
  webLocks().request(scope.name, {}, () => {
    resolve();
    return new Promise(() => {});
  }).catch(() => {});
});

scope.onmessage = async (event) => {
  await alive;
  const { id, job, sync, args } = unpack(event.data) as Order;
  try {
    const value = await (jobs[job] as Job)(sync, ...args);
    scope.postMessage({ id, value: pack(value) });
  } catch (error) {
    const { name, message } = error as Error;
    scope.postMessage({ id, error: { name, message } });
  }
};
