/**
 * Registers every class that threads can share. A thread imports this before
 * it unpacks what it receives.
 *
 * @module
 */
import "./barrier.ts";
import "./bounded_semaphore.ts";
import "./condition.ts";
import "./lock.ts";
import "./rlock.ts";
import "./semaphore.ts";
import "./shared_queue.ts";
import "./thread_event.ts";

export { pack, refuseShared, unpack } from "./_share.ts";
