/**
 * A worker's journal: the ops of all its vnodes, group-committed in frames to preallocated files.
 * Format: docs/formats/journal.md. Rule for what a crash leaves: recovery.ts.
 *
 * Ops of a turn are written in place into the arena, which is the body of the next frame; `commit`
 * is one write and, if an op asked for it, one sync on the pool, while the next frame collects.
 *
 * Invariant: a frame that holds an op which asked for durability is written only after the sync of
 * the one before it has returned, so every such frame says that its predecessor was durable. After
 * a failed write or sync nothing is written again: `onFailed` says how far the files are trusted.
 */
import type { FileUse } from "./file-space.ts";
import { diskError, displaced, isDiskFull } from "./files.ts";
import { FrameArena } from "./frame-arena.ts";
import { FrameHeaders } from "./frame-headers.ts";
import { FILE_HEADER_BYTES, FRAME_HEADER_BYTES, SECTOR_BYTES } from "./journal-format.ts";
import type { JournalOptions } from "./journal-options.ts";
import { JournalSpace } from "./journal-space.ts";
import { JournalSyncs } from "./journal-syncs.ts";
import type { AcceptedFile } from "./manifest.ts";

/** What is left on a full disk for what was begun before that was known. */
const FULL_LEFT_BYTES_MIN = 64 * 1024;

export class Journal {
  readonly #options: JournalOptions;
  readonly #arena: FrameArena;
  readonly #space: JournalSpace;
  readonly #syncs: JournalSyncs;
  readonly #headers = new FrameHeaders();
  #written = 0;
  /** The last commit that holds ops. */
  #writtenOps = 0;
  /** The last commit with an op that asked for durability. */
  #writtenDurable = 0;
  /** What the last frame says is durable. */
  #claimed = 0;
  /** Somebody asked for a sync that could not begin yet. */
  #syncWanted = false;
  #dead = false;
  #wasFull = false;
  /** The frame in progress was not written by a `commit`. */
  #isLate = false;
  /** `prove` waits for room. */
  #proofWanted = false;
  /** Ends the waiting of `close`. */
  #whenIdle: (() => void) | undefined;

  /** End of the current file's last frame. */
  #position = FILE_HEADER_BYTES;
  #firstCommit = 1;
  #left: FileUse[] = [];

  private constructor(options: JournalOptions, space: JournalSpace) {
    this.#options = options;
    this.#arena = new FrameArena(options.arenaBytes, options.arenaBytesMax);
    this.#space = space;
    const events = {
      moved: (through: number) => options.onDurable(through),
      returned: () => this.#tryLate(this.#syncWanted),
      failed: (error: Error) => this.#fail(error),
      appended: () => this.#arena.appended,
    };
    this.#syncs = new JournalSyncs(space.current.header.number, events, options);
    this.#startFile();
  }

  /** Makes the first file (synced, with its name), with little room. Rejects with the disk's CoterieError. */
  static async open(options: JournalOptions): Promise<Journal> {
    const made: { journal?: Journal } = {};
    try {
      const space = await JournalSpace.open(options, {
        changed: () => made.journal?.spaceChanged(),
        failed: (error) => made.journal?.spaceFailed(error),
      });
      made.journal = new Journal(options, space);
      return made.journal;
    } catch (error) {
      throw diskError(error, "make a journal file in", options.folder);
    }
  }

  /** Where ops are written. Another Buffer after any `open`: read it again. */
  get arena(): Buffer {
    return this.#arena.bytes;
  }

  /** The commit that an op appended now belongs to. */
  get collecting(): number {
    return this.#written + 1;
  }

  /** The last commit that is synced for its own sake, the one that collects included. */
  get lastDurable(): number {
    return this.#arena.durableFrom >= 0 ? this.collecting : this.#writtenDurable;
  }

  get writtenThrough(): number {
    return this.#written;
  }

  get durableThrough(): number {
    return this.#syncs.through;
  }

  /** No room on the disk: writers get MISCONF. Resumes by itself. */
  get full(): boolean {
    return this.#space.full;
  }

  /** On a full disk, what is written ahead is nearly used up: more ops may have to wait for room. */
  get isShort(): boolean {
    return (
      this.full && this.#space.left(this.#position) - this.#arena.frameBytes < FULL_LEFT_BYTES_MIN
    );
  }

  /** Ops wait for room on a full disk: they were larger than what was left. */
  get waitsForRoom(): boolean {
    return this.full && this.#space.isWanted;
  }

  /** Takes room in the background; who opens a journal does what must be done before. */
  prepare(): void {
    this.#space.prepare();
  }

  /** A write or sync failed: nothing is taken any more. */
  get dead(): boolean {
    return this.#dead;
  }

  /** Bytes of the ops that wait for `commit`. */
  get pendingBytes(): number {
    return this.#arena.at - FRAME_HEADER_BYTES;
  }

  /** Whether an op of the vnode, up to this sequence, is not even written. */
  isPending(vnodeId: number, sequence: number): boolean {
    return this.#arena.holds(vnodeId, sequence);
  }

  /** Number and offset of where the next frame would go: positions for catch-up. */
  get fileNumber(): number {
    return this.#space.current.header.number;
  }

  get fileOffset(): number {
    return this.#position;
  }

  /**
   * Takes room for an op of at most `bytesMax` bytes; returns the offset in `arena` to write it at,
   * or -1 if the journal is dead or the frame in progress is at its bound: refuse the command.
   * `sequence` is the vnode's last plus one. `seal` or `cancel` must follow before another `open`.
   */
  open(vnodeId: number, sequence: number, bytesMax: number): number {
    if (this.#dead) return -1;
    return this.#arena.open(vnodeId, sequence, bytesMax);
  }

  /** Appends the opened op, `bytes` long; `durable` ops are answered after `onDurable`. */
  seal(bytes: number, durable: boolean): void {
    this.#arena.seal(bytes, durable);
  }

  /**
   * `open` and `seal` of an op that lies at the start of `op`, in whole words: one pass over it.
   * False: refuse the command, as with `open`.
   */
  append(
    vnodeId: number,
    sequence: number,
    op: Int32Array,
    bytes: number,
    durable: boolean,
  ): boolean {
    return !this.#dead && this.#arena.append(vnodeId, sequence, op, bytes, durable);
  }

  cancel(): void {
    this.#arena.cancel();
  }

  /** A point in the frame in progress; valid until the next `commit`. */
  mark(): number {
    return this.#arena.at;
  }

  /** Takes back every op sealed since `mark`, and the open one. */
  rewind(mark: number): void {
    this.#arena.rewind(mark);
  }

  /**
   * The vnode's next op may have any sequence: it restarts, or its state was replaced. It has no op
   * in the frame in progress.
   */
  restartVnode(vnodeId: number): void {
    this.#arena.restartVnode(vnodeId);
  }

  /**
   * Writes the frame in progress. Does nothing while there is none, while a durable frame would
   * overtake an unsynced one or waits for more ops, or while room is missing: it is then called
   * again by itself.
   */
  commit(): void {
    if (this.#dead || this.#arena.ops === 0) return;
    const durable = this.#arena.durableFrom >= 0 || this.#syncWanted;
    const length = this.#arena.frameBytes;
    const isHeld = durable && this.#syncs.holds();
    const room = isHeld ? "none" : this.#space.room(this.#position, length);
    const isLate = this.#isLate;
    this.#isLate = room === "none";
    if (room === "none") return;
    if (room === "next") this.#rotate();
    if (this.#write(length) && durable) this.#sync();
    if (isLate) this.#options.onWritten?.();
  }

  /** Commits what waits and makes all of it durable: interval mode, stop, rewritten tails. */
  syncNow(): void {
    if (this.#dead) return;
    this.#syncs.hurry();
    this.commit();
    // What finds no room waits for it, but not what is written.
    if (!this.#syncs.busy && this.#written > this.#syncs.through) this.#sync();
    this.#syncWanted =
      this.#arena.ops > 0 || (this.#syncs.busy && this.#written > this.#syncs.covers);
  }

  /**
   * Writes an empty frame that says what is durable, so that a later start need not doubt (and
   * write again) the frames before it. Only while no op waits; does nothing if it is said already,
   * and waits for room as `commit` does. False: it waits.
   */
  prove(): boolean {
    this.#proofWanted = false;
    if (this.#dead || this.#arena.ops > 0 || this.#claimed === this.#syncs.through) return true;
    const room = this.#space.room(this.#position, SECTOR_BYTES);
    this.#proofWanted = room === "none";
    if (room === "none") return false;
    if (room === "next") this.#rotate();
    this.#write(SECTOR_BYTES);
    return true;
  }

  /** Makes everything durable, says so in the file, and closes. A full disk ends the waiting. */
  async close(): Promise<void> {
    this.syncNow();
    await this.#idle();
    this.prove();
    await this.#idle();
    const end = this.#dead ? undefined : this.#position;
    this.#dead = true;
    this.#syncs.abandon();
    await this.#space.close(end);
  }

  /** The reserve is lent: writes what waits for room. False: it does not fit in, or fails. */
  async squeeze(): Promise<boolean> {
    try {
      await this.#space.squeeze();
      return true;
    } catch (error) {
      if (!isDiskFull(error)) this.#fail(error);
      return false;
    }
  }

  /** Fails the journal if its file has been moved away: what goes there is lost with the process. */
  async checkPlace(): Promise<void> {
    const { path } = this.#space.current.file;
    if (!this.#dead && !(await this.#space.isInPlace())) this.#fail(displaced(path));
  }

  /** Offers a file for another use: in no manifest, read by nobody. */
  recycle(use: FileUse): void {
    this.forget(use.name);
    this.#space.recycle(use);
  }

  /** Removes the files that wait for another use, but for so many. */
  keepSpares(kept: number): void {
    this.#space.keepSpares(kept);
  }

  /** Leaves a removed file out of `files`. */
  forget(name: string): void {
    this.#left = this.#left.filter((use) => use.name !== name);
  }

  /** The files with their contents, oldest first, the current one last. */
  files(): FileUse[] {
    return [...this.#left, this.#currentUse()];
  }

  /** How far the files count after a failure: through the last commit whose sync returned. */
  trusted(): AcceptedFile[] {
    return this.files().map((use) => this.#syncs.accepted(use));
  }

  #write(length: number): boolean {
    const file = this.#space.current;
    const hasOps = this.#arena.ops > 0;
    this.#headers.lay(this.#arena, this.#written + 1, this.#syncs.through, length, this.#position);
    try {
      file.file.writeSync(this.#arena.bytes, 0, length, this.#position);
    } catch (error) {
      this.#fail(error);
      return false;
    }
    this.#written++;
    if (this.#arena.durableFrom >= 0) this.#writtenDurable = this.#written;
    this.#arena.reset(file.header.number, this.#position);
    this.#position += length;
    this.#claimed = this.#syncs.through;
    if (hasOps) this.#writtenOps = this.#written;
    return true;
  }

  #sync(): void {
    this.#syncWanted = false;
    this.#syncs.start(this.#space.current, this.#written, this.#position);
  }

  /** Something that a commit waited for is there. */
  #tryLate(isSyncWanted: boolean): void {
    if (isSyncWanted) this.syncNow();
    else this.commit();
    this.#checkIdle();
  }

  #rotate(): void {
    this.#left.push(this.#currentUse());
    this.#syncs.retire(this.#space.advance(), this.#written, this.#position);
    this.#startFile();
  }

  #startFile(): void {
    this.#position = FILE_HEADER_BYTES;
    this.#firstCommit = this.#written + 1;
    this.#arena.startFile();
    this.#headers.startFile(this.#space.current.header);
  }

  #currentUse(): FileUse {
    return {
      name: this.#space.current.name,
      number: this.#space.current.header.number,
      firstCommit: this.#firstCommit,
      bytes: this.#position,
      ...this.#arena.fileUse(),
    };
  }

  #idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenIdle = resolve;
      this.#checkIdle();
    });
  }

  #checkIdle(): void {
    if (this.#whenIdle === undefined) return;
    const settled = this.#syncs.idle && this.#syncs.through >= this.#writtenOps;
    const waiting = !this.full && (this.#arena.ops > 0 || this.#proofWanted);
    if (this.#dead || (settled && !waiting)) this.#whenIdle();
  }

  #fail(error: unknown): void {
    if (this.#dead) return;
    this.#dead = true;
    const failed = diskError(error, "write the journal", this.#space.current.file.path);
    this.#syncs.abandon();
    void this.#space.close().catch(() => undefined);
    this.#options.onFailed(failed, this.#syncs.through);
    this.#checkIdle();
  }

  /** For JournalSpace: there is more room, or `full` has changed. */
  spaceChanged(): void {
    if (this.full !== this.#wasFull) {
      this.#wasFull = this.full;
      this.#options.onFull?.(this.full);
    }
    this.#tryLate(false);
    if (this.#proofWanted) this.prove();
    this.#checkIdle();
  }

  /** For JournalSpace: preparing room failed for good. */
  spaceFailed(error: unknown): void {
    this.#fail(error);
  }
}
