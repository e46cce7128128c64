/**
 * Refuses unknown options.
 *
 * @module
 */

const PACKET_OPTIONS = ["context", "clientAddress", "serverAddress"];
const CONNECT_OPTIONS = [
  ...PACKET_OPTIONS,
  "chunkSize",
  "splitAt",
  "resetAfterReading",
  "resetAfterWriting",
  "windowSize",
];

/** Throws for what is no option of `connect()`. */
export function checkConnectOptions(options: object): void {
  checkNames(options, CONNECT_OPTIONS);
}

/** Throws for what is no option of `sendPacket()`. */
export function checkPacketOptions(options: object): void {
  checkNames(options, PACKET_OPTIONS);
}

function checkNames(options: object, names: string[]): void {
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue;
    throw new TypeError(
      `Cannot use the option "${name}": there is none of this name; expected ${
        names.join(", ")
      }`,
    );
  }
}
