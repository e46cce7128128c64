/** Lets fixtures tell the tests' own thread from their replicas'. */

Object.assign(globalThis, { servesTests: true });
