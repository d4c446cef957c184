/**
 * What a connection has received and not yet run: an unfinished request, or requests that wait.
 *
 * Invariant: memory follows what has arrived, never what was announced, and each byte is moved a
 * bounded number of times however the stream is cut.
 */

/** First size, and the largest that is kept when empty. */
const BYTES_START = 4096;
const BYTES_KEPT = 64 * 1024;
const NOTHING = Buffer.alloc(0);

export class InputBuffer {
  bytes: Buffer = NOTHING;
  start = 0;
  end = 0;

  get length(): number {
    return this.end - this.start;
  }

  append(source: Buffer, from: number, to: number): void {
    const length = to - from;
    const used = this.end - this.start;
    if (this.end + length > this.bytes.length) {
      const size = Math.max(BYTES_START, 2 ** Math.ceil(Math.log2(used + length)));
      const target = size > this.bytes.length ? Buffer.allocUnsafeSlow(size) : this.bytes;
      this.bytes.copy(target, 0, this.start, this.end);
      this.bytes = target;
      this.start = 0;
      this.end = used;
    }
    source.copy(this.bytes, this.end, from, to);
    this.end += length;
  }

  /** Lets go of everything before `at`. */
  consume(at: number): void {
    this.start = at;
    if (at === this.end) this.clear();
  }

  clear(): void {
    this.start = 0;
    this.end = 0;
    if (this.bytes.length > BYTES_KEPT) this.bytes = NOTHING;
  }
}
