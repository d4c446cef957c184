/**
 * A file seen through a window that moves along it: however large the file, reading it takes the same
 * little memory, and few calls. Each page of fresh memory costs a start more than reading its bytes
 * does, and each call some 40 µs.
 *
 * Invariant: bytes[0, end - start) are those of the file from `start` on.
 */
import type { CoterieError } from "../base/errors.ts";
import type { Damage } from "./damage.ts";
import { diskError, type FileReader, type ReadFile, systemCode } from "./files.ts";

/** Memory is taken in such steps: files of about one size need it once. */
const MEMORY_STEP_BYTES = 256 * 1024;

/** What a disk does not give is damage of this kind. */
export type Damaged = (damage: Damage, cause: unknown) => CoterieError;

export class FileWindow {
  /** Reused: valid until the window moves. */
  bytes: Buffer = Buffer.alloc(0);
  /** Where in the file the window begins and ends. */
  start = 0;
  end = 0;
  path = "";
  /** Bytes of the file that count. */
  length = 0;
  readonly #fs: FileReader;
  readonly #windowBytes: number;
  readonly #damaged: Damaged;
  #file: ReadFile | undefined;

  /** `windowBytes` are read at once, unless more has to be seen together. */
  constructor(fs: FileReader, windowBytes: number, damaged: Damaged) {
    this.#fs = fs;
    this.#windowBytes = windowBytes;
    this.#damaged = damaged;
  }

  /** Opens the window at the beginning of a file of which at most `bytesMax` bytes count. */
  async open(path: string, bytesMax = Number.POSITIVE_INFINITY): Promise<void> {
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

  async #move(at: number, bytes: number): Promise<void> {
    const size = Math.max(0, Math.min(Math.max(bytes, this.#windowBytes), this.length - at));
    if (size > this.bytes.length) {
      const steps = Math.ceil(size / MEMORY_STEP_BYTES);
      this.bytes = Buffer.allocUnsafeSlow(steps * MEMORY_STEP_BYTES);
    }
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
      const code = systemCode(error);
      if (code === "ENOENT")
        throw this.#damaged({ path, offset, what: "the file is missing" }, error);
      if (code !== "EIO") throw diskError(error, "read", path);
      throw this.#damaged({ path, offset, what: "the disk does not give its bytes" }, error);
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }
}
