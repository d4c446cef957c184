/**
 * Reads every journal file of a data folder and judges how far each counts, before any op of them
 * is used: damage is found here, and then nothing starts.
 *
 * Invariant: surveys of the same bytes and manifests agree. A file never counts for more than a
 * manifest of an earlier recovery says.
 */
import { CoterieError } from "../base/errors.ts";
import { corruptJournal, unknownFormat } from "./damage.ts";
import type { ClosedFile } from "./file-space.ts";
import type { FileWindow } from "./file-window.ts";
import { diskError, type FileSystem, synced } from "./files.ts";
import {
  decodeFileHeader,
  emptyFrameHeader,
  FILE_HEADER_BYTES,
  type FileHeader,
  FRAME_HEADER_BYTES,
  JOURNAL_FORMAT,
  type JournalFileName,
  parseJournalFileName,
  SECTOR_BYTES,
} from "./journal-format.ts";
import { JournalJudge } from "./journal-judge.ts";
import { frameHeaderAt, journalWindow } from "./journal-window.ts";
import {
  bootAndWorker,
  type ManifestFile,
  type Manifests,
  readManifests,
  snapshotSequence,
} from "./manifest.ts";

export interface SurveyOptions {
  readonly fs: FileSystem;
  readonly folder: string;
  /** 16 hex digits: a file of another node is refused. */
  readonly nodeId: string;
  readonly manifests: Manifests;
  /** Which journals to read: default all. A restart beside running journals leaves those out. */
  readonly include?: (file: JournalFileName) => boolean;
}

export interface SurveyedFile extends JournalFileName, ClosedFile {
  readonly firstCommit: number;
  /** Bytes that count, header included; 0: nothing does. */
  readonly accepted: number;
  /** Offset of the first frame that counts and holds more than the snapshots; none: `accepted`. */
  readonly needed: number;
  readonly droppedBytes: number;
  readonly durable: number;
  /**
   * whole: all frames found count; torn: the last is torn, dropped with what follows it;
   * after-torn: all of it follows a torn frame in an earlier file; unused: it never held a frame.
   */
  readonly reason: "whole" | "torn" | "after-torn" | "unused";
}

export interface Survey {
  /** Oldest first. */
  readonly files: readonly SurveyedFile[];
  /** Of each vnode, the largest sequence that is proven to be durable in some file. */
  readonly proven: ReadonlyMap<number, number>;
  /** Files that no manifest needs: a crash came between the manifest and their removal. */
  readonly leftovers: readonly string[];
}

/** What a data folder says of its data, before any of it is used. Structured-cloneable. */
export interface FolderSurvey {
  readonly manifests: Manifests;
  readonly survey: Survey;
}

/** Reads the manifests, then judges the journals; throws as they do. */
export async function surveyFolder(
  options: Omit<SurveyOptions, "manifests">,
): Promise<FolderSurvey> {
  const { fs, folder, nodeId } = options;
  const manifests = await readManifests(fs, folder, nodeId);
  return { manifests, survey: await surveyJournals({ ...options, manifests }) };
}

/** Bytes of the journals that recovery needs, about. */
export function neededBytes({ files }: Survey): number {
  return files.reduce((sum, { needed, accepted }) => sum + accepted - needed, 0);
}

/** What a manifest says of surveyed files, so that no later start reads more of them. */
export function manifestFiles(survey: Survey): ManifestFile[] {
  return survey.files.map(({ name, firstCommit, accepted, durable }) => {
    return { name, firstCommit, accepted, durable };
  });
}

/** Judges all journals. Throws CORRUPT, FORMAT_UNKNOWN, DATA_FOLDER_FOREIGN or DISK_FAILED. */
export async function surveyJournals(options: SurveyOptions): Promise<Survey> {
  const { manifests, fs, folder } = options;
  const include = options.include ?? (() => true);
  const present = await fs.list(folder);
  checkListed(options, new Set(present), include);
  const files: SurveyedFile[] = [];
  const leftovers: string[] = [];
  const proven = new Map<number, number>();
  const judges = new Map<string, JournalJudge>();
  const floors = lowestListed(manifests);
  const window = journalWindow(fs);
  for (const name of present) {
    const parsed = parseJournalFileName(name);
    if (parsed === undefined || !include(parsed)) continue;
    if (isLeftover(name, parsed, manifests, floors)) {
      leftovers.push(name);
      continue;
    }
    const job = { options, name, parsed, window, judges, proven };
    files.push(await surveyFile(job).finally(() => window.close()));
  }
  return { files, proven, leftovers };
}

/**
 * Syncs the files that hold ops which are not proven to be durable. A frame of such a file may belong
 * to vnodes of several workers now, and each writes its own part of it again: none of them may last
 * while the rest is lost with the frame.
 */
export async function syncUnproven(
  fs: FileSystem,
  folder: string,
  { files, proven }: Survey,
  boot: number,
): Promise<void> {
  for (const { name, vnodes, sequences, boot: writtenIn } of files) {
    // How far a file of this boot counts, its own syncs have said; one of them may have failed.
    if (writtenIn === boot) continue;
    const isProven = (vnode: number, i: number) =>
      (sequences[i] as number) <= (proven.get(vnode) ?? 0);
    if ([...vnodes].every(isProven)) continue;
    const path = `${folder}/${name}`;
    try {
      const file = await fs.open(path, "write");
      await synced(file).finally(() => file.close());
    } catch (error) {
      throw diskError(error, "sync", path);
    }
  }
}

interface FileJob {
  readonly options: SurveyOptions;
  readonly name: string;
  readonly parsed: JournalFileName;
  readonly window: FileWindow;
  /** By journal id. */
  readonly judges: Map<string, JournalJudge>;
  readonly proven: Map<number, number>;
}

async function surveyFile(job: FileJob): Promise<SurveyedFile> {
  const { options, name, parsed, window, judges } = job;
  const path = `${options.folder}/${name}`;
  const listed = options.manifests.files.get(name);
  const limit = listed?.accepted ?? Number.POSITIVE_INFINITY;
  if (limit === 0) return unusedFile(job, "after-torn");
  await window.open(path, limit);
  const reading = decodeFileHeader(window.bytes, window.end, parsed);
  switch (reading.kind) {
    case "unknown-format":
      throw unknownFormat(path, reading.format, JOURNAL_FORMAT);
    case "none":
      await checkUnused(window, parsed);
      // It is listed once it is in use.
      if (listed !== undefined) {
        throw corruptJournal({ path, offset: 0 }, "its header is not there");
      }
      return unusedFile(job, "unused");
    case "valid":
      checkOwner(reading.header, options.nodeId, path);
      break;
  }
  const { header } = reading;
  let judge = judges.get(header.journalId);
  if (judge === undefined) {
    const isNeeded = (vnode: number, sequence: number) =>
      sequence > snapshotSequence(options.manifests, vnode);
    judge = new JournalJudge(Math.max(1, listed?.firstCommit ?? 1), job.proven, isNeeded);
    judges.set(header.journalId, judge);
  }
  return { name, ...parsed, ...(await judge.judge(window, header, listed?.durable)) };
}

function unusedFile({ name, parsed }: FileJob, reason: "unused" | "after-torn"): SurveyedFile {
  return {
    name,
    ...parsed,
    firstCommit: 0,
    accepted: 0,
    needed: 0,
    droppedBytes: 0,
    durable: 0,
    reason,
    vnodes: new Uint32Array(0),
    sequences: new Float64Array(0),
  };
}

/** A file without its header was never used: the header is durable before the first frame. */
async function checkUnused(window: FileWindow, file: JournalFileName): Promise<void> {
  const frame = emptyFrameHeader();
  for (let at = FILE_HEADER_BYTES; at < window.length; at += SECTOR_BYTES) {
    await window.show(at, FRAME_HEADER_BYTES);
    if (frameHeaderAt(window, at, file, frame)) {
      const place = { path: window.path, offset: 0 };
      throw corruptJournal(place, "its header is not there, but frames are");
    }
  }
}

function checkOwner(header: FileHeader, nodeId: string, path: string): void {
  if (header.nodeId === nodeId) return;
  throw new CoterieError(
    "DATA_FOLDER_FOREIGN",
    `${path} belongs to node ${header.nodeId}, this folder to ${nodeId}: ` +
      "move the foreign file away",
    { detail: { path, nodeId: header.nodeId } },
  );
}

function checkListed(
  { folder, manifests }: SurveyOptions,
  present: ReadonlySet<string>,
  include: (file: JournalFileName) => boolean,
): void {
  for (const { name, accepted } of manifests.files.values()) {
    const parsed = parseJournalFileName(name);
    if (present.has(name) || accepted === 0 || parsed === undefined || !include(parsed)) continue;
    throw corruptJournal({ path: `${folder}/${name}`, offset: 0 }, "the file is missing");
  }
}

/** Of each (boot, worker), the oldest file number that a manifest lists. */
export function lowestListed(manifests: Manifests): Map<string, number> {
  const floors = new Map<string, number>();
  for (const name of manifests.files.keys()) {
    const parsed = parseJournalFileName(name);
    if (parsed === undefined) continue;
    const key = bootAndWorker(parsed);
    floors.set(key, Math.min(parsed.number, floors.get(key) ?? parsed.number));
  }
  return floors;
}

/**
 * Of its own journal a manifest lists all files from the oldest needed one on, or would: what is
 * older and not listed was about to be removed. It stays until every worker of a later boot has listed
 * what it needs; one of them alone may leave out what the others, not yet started, still need.
 */
export function isLeftover(
  name: string,
  file: JournalFileName,
  manifests: Manifests,
  floors: ReadonlyMap<string, number>,
): boolean {
  if (manifests.files.has(name)) return false;
  const key = bootAndWorker(file);
  if (!manifests.writers.has(key)) return file.boot < manifests.boot;
  return file.number < (floors.get(key) ?? 0);
}
