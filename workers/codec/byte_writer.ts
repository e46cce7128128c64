/**
 * A growing buffer of bytes.
 *
 * @module
 */

/** Bytes that grow at their end. */
export class ByteWriter {
  /** The memory. Bytes from `length` on are free. */
  bytes: Uint8Array<ArrayBuffer>;
  /** The number of bytes. */
  length = 0;

  /**
   * Constructs an empty writer.
   *
   * @param size The initial capacity in bytes.
   */
  constructor(size: number) {
    this.bytes = new Uint8Array(size);
  }

  /**
   * Makes room.
   *
   * @param count The number of bytes.
   */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }

  /**
   * Writes a byte.
   *
   * @param value The byte.
   */
  byte(value: number): void {
    if (this.length === this.bytes.length) this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /**
   * Writes an integer of 32 bits, the lowest first.
   *
   * @param value The integer, with or without a sign.
   */
  int32(value: number): void {
    this.reserve(4);
    this.setInt32(this.length, value);
    this.length += 4;
  }

  /**
   * Changes an integer of 32 bits.
   *
   * @param offset Its position.
   * @param value The integer.
   */
  setInt32(offset: number, value: number): void {
    const { bytes } = this;
    bytes[offset] = value & 0xff;
    bytes[offset + 1] = (value >>> 8) & 0xff;
    bytes[offset + 2] = (value >>> 16) & 0xff;
    bytes[offset + 3] = value >>> 24;
  }

  /**
   * Writes bytes.
   *
   * @param bytes The bytes.
   */
  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }
}
