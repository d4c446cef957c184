/**
 * A journal file seen through a window that moves along it: however large the file, reading it takes
 * the same little memory. Each page of fresh memory costs a start more than reading its bytes does.
 *
 * Invariant: bytes[0, end - start) are those of the file from `start` on.
 */
import { corruptJournal } from "./damage.ts";
import { diskError, type FileReader, type ReadFile, systemCode } from "./files.ts";
import {
  decodeFrameHeader,
  type FrameHeader,
  frameIsWhole,
  type JournalFileName,
} from "./journal-format.ts";

/** How much is read at once, unless more has to be seen together. */
const WINDOW_BYTES = 2 * 1024 * 1024;

export class JournalWindow {
  /** Reused: valid until the window moves. */
  bytes: Buffer = Buffer.alloc(0);
  /** Where in the file the window begins and ends. */
  start = 0;
  end = 0;
  path = "";
  /** Bytes of the file that count. */
  length = 0;
  readonly #fs: FileReader;
  #file: ReadFile | undefined;

  constructor(fs: FileReader) {
    this.#fs = fs;
  }

  /** Opens the window at the beginning of a file of which at most `bytesMax` bytes count. */
  async open(path: string, bytesMax: number): Promise<void> {
    await this.close();
    this.path = path;
    this.length = 0;
    await this.#reading(0, async () => {
      this.#file = await this.#fs.open(path, "read");
      this.length = Math.min(await this.#file.size(), bytesMax);
    });
    await this.#move(0, 0);
  }

  /**
   * Moves the window, if it has to, so that `bytes` bytes from `at` on are in it, or as many as the
   * file has; undefined: they are already.
   */
  show(at: number, bytes: number): Promise<void> | undefined {
    return this.shows(at, bytes) ? undefined : this.#move(at, bytes);
  }

  shows(at: number, bytes: number): boolean {
    return at >= this.start && Math.min(at + bytes, this.length) <= this.end;
  }

  /** Reads the header of the frame at `at`, which is shown; see decodeFrameHeader. */
  readFrameHeader(
    at: number,
    file: JournalFileName & { readonly generation?: string },
    into: FrameHeader,
  ): boolean {
    return decodeFrameHeader(this.bytes, at - this.start, this.end - this.start, file, into, at);
  }

  /** Whether the frame at `at`, of which all that the file has is shown, is whole. */
  isWhole(at: number, frame: FrameHeader): boolean {
    return frameIsWhole(this.bytes, at - this.start, this.end - this.start, frame);
  }

  async #move(at: number, bytes: number): Promise<void> {
    const size = Math.max(0, Math.min(Math.max(bytes, WINDOW_BYTES), this.length - at));
    if (size > this.bytes.length) this.bytes = Buffer.allocUnsafeSlow(size);
    this.start = at;
    this.end = at;
    await this.#reading(at, async () => {
      this.end += (await this.#file?.read(this.bytes, 0, size, at)) ?? 0;
    });
    // It has become shorter.
    if (this.end < at + size) this.length = this.end;
  }

  async #reading(offset: number, read: () => Promise<void>): Promise<void> {
    const { path } = this;
    try {
      await read();
    } catch (error) {
      if (systemCode(error) !== "EIO") throw diskError(error, "read", path);
      throw corruptJournal({ path, offset }, "the disk does not give its bytes", error);
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }
}
