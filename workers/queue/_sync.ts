/**
 * Registers every class that threads can share. A thread imports this before
 * it unpacks what it receives.
 *
 * @module
 */
import "../locks/barrier.ts";
import "../locks/condition.ts";
import "../locks/lock.ts";
import "../locks/semaphore.ts";
import "../locks/thread_event.ts";
import "./shared_queue.ts";
import "./pipe.ts";

export { pack, unpack } from "../codec/share.ts";
