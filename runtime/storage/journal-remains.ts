/**
 * What damaged journals still hold, for salvage: the frames that count, as far as they can be read.
 * Which count is the rule of a start (journal-judge.ts); what a start would call damage is passed
 * over and listed. Reads only.
 *
 * Invariant: an op that a start of the undamaged folder would drop (a torn tail, bytes beyond what a
 * manifest accepts) is not handed over.
 */
import { type Damage, unknownFormat } from "./damage.ts";
import type { FileSystem } from "./files.ts";
import {
  decodeFileHeader,
  decodeFrameHeader,
  emptyFrameHeader,
  FILE_HEADER_BYTES,
  frameIsWhole,
  frameJournalId,
  JOURNAL_FORMAT,
  parseJournalFileName,
  SECTOR_BYTES,
} from "./journal-format.ts";
import {
  Gap,
  type JournalFile,
  type Place,
  type RemainsVisitor,
  readPlace,
} from "./journal-gaps.ts";
import { SegmentTrail } from "./loose-frames.ts";
import type { Manifests } from "./manifest.ts";
import { readWhatIsThere } from "./readable.ts";
import { isLeftover, lowestListed } from "./survey.ts";

export interface RemainsOptions {
  readonly fs: FileSystem;
  readonly folder: string;
  /** Files of other nodes are passed over; undefined: it is not known whose the folder is. */
  readonly nodeId: string | undefined;
  /** What of the manifests can be read. */
  readonly manifests: Manifests;
  /** Whether that is all of them: then they say which files count. */
  readonly isManifestWhole: boolean;
}

interface RemainingFile extends JournalFile {
  readonly path: string;
  /** Bytes that may be read: all, or what a manifest accepts. */
  readonly limit: number;
  length: number;
  readonly places: Place[];
}

interface SeenFrame {
  readonly file: RemainingFile;
  readonly at: number;
  readonly end: number;
  readonly commit: number;
  readonly isWhole: boolean;
}

interface SeenJournal {
  readonly firstCommit: number | undefined;
  readonly firstFile: RemainingFile;
  readonly frames: SeenFrame[];
  /** The largest commit that is proven to have been durable, or accepted. */
  through: number;
}

export class JournalRemains {
  readonly #options: RemainsOptions;
  readonly #files: RemainingFile[] = [];
  readonly #journals = new Map<string, SeenJournal>();
  readonly #damages: Damage[] = [];
  readonly #gaps: Gap[] = [];
  readonly #tails: Damage[] = [];
  /** Something is missing of which not even the vnodes are known. */
  #isUnsure = false;

  private constructor(options: RemainsOptions) {
    this.#options = options;
  }

  /** Looks at all journals of the folder. Throws FORMAT_UNKNOWN. */
  static async survey(options: RemainsOptions): Promise<JournalRemains> {
    const remains = new JournalRemains(options);
    await remains.#survey();
    for (const journal of remains.#journals.values()) remains.#settle(journal);
    return remains;
  }

  /** What is wrong. Says how much of it could be read after a walk. */
  damages(): Damage[] {
    return [...this.#damages, ...this.#gaps.map((gap) => gap.damage)];
  }

  /** What does not count though it can be read, as at any start: no damage. */
  get tails(): readonly Damage[] {
    return this.#tails;
  }

  /** Whether the vnodes of everything that is missing are known, after a walk. */
  get isAccounted(): boolean {
    return !this.#isUnsure && this.#gaps.every((gap) => gap.isAccounted);
  }

  /** Hands over everything that counts, in the order of the files. */
  async walk(visitor: RemainsVisitor): Promise<void> {
    const trails = new Map<string, SegmentTrail>();
    for (const gap of this.#gaps) gap.beginWalk();
    for (const file of this.#files) {
      if (file.places.length === 0) continue;
      const trail = trails.get(file.journalId) ?? new SegmentTrail();
      trails.set(file.journalId, trail);
      const bytes = await this.#read(file);
      for (const place of file.places) readPlace({ bytes, file, place, trail, visitor });
    }
  }

  async #survey(): Promise<void> {
    const { fs, folder, manifests, isManifestWhole } = this.#options;
    const floors = lowestListed(manifests);
    const present = await fs.list(folder);
    for (const { name, accepted } of manifests.files.values()) {
      if (accepted === 0 || present.includes(name)) continue;
      this.#damages.push({ path: `${folder}/${name}`, offset: 0, what: "the file is missing" });
      this.#isUnsure = true;
    }
    for (const name of present) {
      const parsed = parseJournalFileName(name);
      if (parsed === undefined) continue;
      if (isManifestWhole && isLeftover(name, parsed, manifests, floors)) continue;
      const listed = manifests.files.get(name);
      const limit = listed?.accepted ?? Number.POSITIVE_INFINITY;
      if (limit === 0) continue;
      const file = {
        ...parsed,
        path: `${folder}/${name}`,
        limit,
        length: 0,
        places: [],
        journalId: "",
      };
      this.#files.push(file);
      const first = listed?.firstCommit ?? (isManifestWhole ? 1 : undefined);
      await this.#look(file, first === 0 ? 1 : first);
    }
  }

  /** Notes the frames of a file. */
  async #look(file: RemainingFile, firstCommit: number | undefined): Promise<void> {
    const { nodeId } = this.#options;
    const bytes = await this.#read(file, true);
    const frame = emptyFrameHeader();
    const { length, path } = file;
    const header = decodeFileHeader(bytes, length, file);
    if (header.kind === "valid" && header.header.nodeId !== (nodeId ?? header.header.nodeId)) {
      const what = `it belongs to node ${header.header.nodeId}: not used`;
      this.#damages.push({ path, offset: 0, what });
      return;
    }
    let isUsed = false;
    for (let at = FILE_HEADER_BYTES; at < length; ) {
      if (!decodeFrameHeader(bytes, at, length, file, frame)) {
        at += SECTOR_BYTES;
        continue;
      }
      isUsed = true;
      const isWhole = frameIsWhole(bytes, at, length, frame);
      file.journalId = frameJournalId(bytes, at);
      const journal = this.#journal(file.journalId, file, firstCommit);
      const { commit } = frame;
      const end = Math.min(length, at + frame.length);
      journal.frames.push({ file, at, end, commit, isWhole });
      const accepted = Number.isFinite(file.limit) ? commit : 0;
      journal.through = Math.max(journal.through, frame.durableThrough, accepted);
      at = isWhole ? end : at + SECTOR_BYTES;
    }
    if (!isUsed && Number.isFinite(file.limit)) {
      this.#damages.push({ path, offset: 0, what: "nothing is left of its frames" });
      this.#isUnsure = true;
    }
    if (header.kind === "valid") return;
    if (isUsed) this.#damages.push({ path, offset: 0, what: "its header is damaged: not needed" });
    else if (header.kind === "unknown-format") {
      throw unknownFormat(path, header.format, JOURNAL_FORMAT);
    }
  }

  #journal(id: string, firstFile: RemainingFile, firstCommit: number | undefined): SeenJournal {
    const known = this.#journals.get(id);
    if (known !== undefined) return known;
    const journal: SeenJournal = { firstCommit, firstFile, frames: [], through: 0 };
    this.#journals.set(id, journal);
    return journal;
  }

  /** Says of each frame of a journal whether it counts, and finds what is not there whole. */
  #settle({ frames, through, firstFile, firstCommit }: SeenJournal): void {
    let file = firstFile;
    let at = FILE_HEADER_BYTES;
    let expected = firstCommit ?? frames[0]?.commit ?? 1;
    for (const frame of frames) {
      if (frame.commit < expected) {
        const what = `commit ${frame.commit} follows ${expected - 1}: not used`;
        this.#damages.push({ path: frame.file.path, offset: frame.at, what });
        this.#isUnsure = true;
        continue;
      }
      const firstBad = frame.commit === expected && frame.isWhole ? frame.commit + 1 : expected;
      const lastBad = frame.isWhole ? frame.commit - 1 : frame.commit;
      // What was never promised and is not there whole is the torn tail, as a start sees it.
      if (firstBad <= lastBad && lastBad > through) {
        const what = `from commit ${Math.max(firstBad, through + 1)} on: the torn tail of a crash`;
        this.#tails.push({ path: frame.file.path, offset: frame.at, what });
        break;
      }
      if (frame.commit > expected) {
        const commits = frame.commit - expected;
        this.#addGap({ firstCommit: expected, commits }, { file, at }, frame);
      }
      const { commit, end } = frame;
      if (frame.isWhole) frame.file.places.push({ at: frame.at, end, gap: undefined });
      else this.#addGap({ firstCommit: commit, commits: 1 }, frame, { file: frame.file, at: end });
      expected = frame.commit + 1;
      file = frame.file;
      at = frame.end;
    }
    const end = { file, at: file.length };
    if (expected <= through) {
      const commits = through - expected + 1;
      this.#addGap({ firstCommit: expected, commits }, { file, at }, end);
    } else if (Number.isFinite(file.limit) && at < file.length) {
      // A manifest accepts more than is left of the journal's last file.
      this.#addGap({ firstCommit: expected, commits: Number.POSITIVE_INFINITY }, { file, at }, end);
    }
  }

  /** Commits that are not there whole, and should be between these places. */
  #addGap(
    commits: { readonly firstCommit: number; readonly commits: number },
    from: { readonly file: RemainingFile; readonly at: number },
    until: { readonly file: RemainingFile; readonly at: number },
  ): void {
    const gap = new Gap({ ...commits, path: from.file.path, offset: from.at });
    const { file, at } = from;
    const isOneFile = file === until.file;
    file.places.push(gap.stretch(at, isOneFile ? until.at : file.length));
    if (!isOneFile) until.file.places.push(gap.stretch(FILE_HEADER_BYTES, until.at));
    this.#gaps.push(gap);
  }

  /** Reads a file; pieces that the disk does not give are zeros, and noted in the survey. */
  async #read(file: RemainingFile, isSurvey = false): Promise<Buffer> {
    const { fs } = this.#options;
    const unreadable = (offset: number) => {
      if (!isSurvey) return;
      this.#damages.push({ path: file.path, offset, what: "the disk does not give its bytes" });
      this.#isUnsure = true;
    };
    const bytes = await readWhatIsThere(fs, file.path, file.limit, unreadable);
    file.length = bytes.length;
    return bytes;
  }
}
