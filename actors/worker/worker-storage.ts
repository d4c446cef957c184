/**
 * What one worker keeps on disk: its journal, its vnodes' snapshots, its manifest; and how its
 * partitions come back from them.
 *
 * Invariants: the manifest that says how far old files count is durable before the first new op;
 * what was recovered but perhaps never synced is written again and synced before anything serves.
 */
import type { Timers } from "../../runtime/base/clock.ts";
import type { CoterieError } from "../../runtime/base/errors.ts";
import type { Random } from "../../runtime/base/prng.ts";
import { FileSpace, partOf } from "../../runtime/storage/file-space.ts";
import type { FileSystem } from "../../runtime/storage/files.ts";
import { Journal } from "../../runtime/storage/journal.ts";
import { FILE_HEADER_BYTES, parseJournalFileName } from "../../runtime/storage/journal-format.ts";
import type { SyncTimes } from "../../runtime/storage/journal-syncs.ts";
import {
  type ManifestFile,
  type Manifests,
  type ManifestVnode,
  noManifests,
  writeManifest,
} from "../../runtime/storage/manifest.ts";
import { type RecoveredOp, replay } from "../../runtime/storage/recovery.ts";
import { Reserve, reserveName } from "../../runtime/storage/reserve.ts";
import { unlistedSnapshots } from "../../runtime/storage/snapshot.ts";
import {
  type FolderSurvey,
  manifestFiles,
  type Survey,
  syncUnproven,
} from "../../runtime/storage/survey.ts";
import type { Vnode } from "../vnode/vnode.ts";
import { type LoadOptions, loadSnapshot, loadSnapshots } from "./load-snapshots.ts";
import { type RecoveryTarget, replayLog, replayOp } from "./log-replay.ts";
import { NamedSnapshots } from "./named-snapshots.ts";
import { ownsVnode } from "./ownership.ts";
import type { TakenSnapshot } from "./snapshots.ts";
import type { WorkerArgs } from "./worker-args.ts";
import type { RestingFile } from "./worker-control.ts";
import { WorkerLog } from "./worker-log.ts";

/** What the storage tells its worker. */
export interface StorageEvents {
  /** More is written, or durable: replies that waited for it may leave. */
  onDurable(): void;
  /** The journal is dead: what waits is unknown, and this worker must restart. */
  onFailed(error: CoterieError): void;
  /** The disk has no room for ops; or has some again. */
  onFull(full: boolean): void;
  readonly syncTimes: SyncTimes;
}

/** What a recovery did. */
export interface RecoveryFacts {
  readonly ops: number;
  readonly tornBytes: number;
}

export interface StorageOptions {
  readonly args: WorkerArgs;
  readonly index: number;
  /** What the folder holds for this worker: see BirthSurveys. */
  readonly found: FolderSurvey;
  readonly fs: FileSystem;
  readonly timers: Timers;
  readonly random: Random;
  readonly events: StorageEvents;
}

/** What is opened before a WorkerStorage is made of it. */
interface OpenedStorage {
  readonly journal: Journal;
  readonly reserve: Reserve;
}

export class WorkerStorage {
  readonly fs: FileSystem;
  readonly journal: Journal;
  readonly log: WorkerLog;
  readonly #args: WorkerArgs;
  readonly #index: number;
  /** Which closed files are still needed. */
  readonly space = new FileSpace();
  readonly #snapshots = new NamedSnapshots();
  readonly #manifests: Manifests;
  readonly #survey: Survey;
  /** Disk space for cleaning. */
  readonly reserve: Reserve;
  /** Files that this worker needs no more; others may. */
  readonly #released = new Set<string>();
  /** The last writing of the manifest; a failed one does not stop the next. */
  #manifestWriting: Promise<void> = Promise.resolve();
  /** The manifest does not say what it should. */
  #isUnwritten = false;
  /** How far the files of a failed journal count. */
  #trusted: readonly ManifestFile[] | null = null;

  constructor({ args, index, fs, found }: StorageOptions, opened: OpenedStorage) {
    this.fs = fs;
    this.journal = opened.journal;
    this.#args = args;
    this.#index = index;
    this.#manifests = found.manifests;
    this.#survey = found.survey;
    this.reserve = opened.reserve;
    const durabilities = args.config.keyspaces.map((keyspace) => keyspace.durability);
    this.log = new WorkerLog(opened.journal, durabilities);
    // A failing journal has a manifest written at any time: none may lack them.
    for (const entry of found.manifests.vnodes.values()) {
      if (this.#owns(entry.id)) this.#snapshots.keep(entry);
    }
  }

  #owns(vnodeId: number): boolean {
    return ownsVnode(this.#args, this.#index, vnodeId);
  }

  /** Brings this worker's partitions back: snapshots, then the log; all of it durable. */
  async recover(target: RecoveryTarget): Promise<RecoveryFacts> {
    const [vnodes] = await Promise.all([
      loadSnapshots(this.#loadOptions(target), [...this.#snapshots.vnodes.values()]),
      syncUnproven(this.fs, this.#args.folder, this.#survey, this.#args.boot),
    ]);
    await this.reserve.withLoan(() => this.#writeManifest());
    // Not waited for: a full disk refuses writes, and nothing else.
    this.journal.prepare();
    const owns = (id: number) => this.#owns(id);
    // Replaced, or finished when the worker ended: nobody else knows which are not named yet.
    const names = await this.fs.list(this.#args.folder);
    const unlisted = unlistedSnapshots(names, this.#snapshots.vnodes, owns);
    for (const name of unlisted) await this.removeFile(name);
    const { journal, log, reserve } = this;
    const reading = this.#surveyOptions();
    const parts = { survey: this.#survey, reading, owns, target, vnodes, journal, log, reserve };
    const recovery = await replayLog(parts);
    for (const vnode of vnodes.values()) target.adopt(vnode);
    for (const file of this.#survey.files) this.space.add(partOf(file, owns));
    for (const name of this.#survey.leftovers) this.space.add({ name, ...NOTHING });
    const tornBytes = this.#survey.files.reduce((sum, file) => sum + file.droppedBytes, 0);
    return { ops: recovery.ops, tornBytes };
  }

  /** A failed vnode's successor: from its snapshot and what the journals hold of it. */
  recoverVnode(id: number, target: RecoveryTarget): Promise<Vnode> {
    return this.#snapshots.holding(id, () => this.#recoverVnode(id, target));
  }

  async #recoverVnode(id: number, target: RecoveryTarget): Promise<Vnode> {
    this.journal.commit();
    await this.log.written();
    const vnodes = new Map<number, Vnode>();
    const entry = this.#snapshots.vnodes.get(id);
    if (entry?.snapshot !== undefined) {
      vnodes.set(id, await loadSnapshot(this.#loadOptions(target), entry));
    }
    const onOp = (op: RecoveredOp) => {
      replayOp(target, vnodes, op.vnodeId, op.bytes, op.start, op.end);
    };
    await this.#replayRunning(entry ?? { id, sequence: 0 }, onOp);
    this.journal.restartVnode(id);
    return vnodes.get(id) ?? target.createVnode(id);
  }

  #loadOptions(target: RecoveryTarget): LoadOptions {
    const createVnode = (id: number) => target.createVnode(id);
    return { fs: this.fs, folder: this.#args.folder, createVnode };
  }

  #surveyOptions() {
    const { folder, nodeId } = this.#args;
    return { fs: this.fs, folder, nodeId, manifests: this.#manifests };
  }

  /** Everything that was appended is durable when this returns. */
  sync(): Promise<void> {
    return new Promise((resolve) => this.log.sync(resolve));
  }

  /** One manifest at a time, each as things are when its turn comes. */
  #writeManifest(): Promise<void> {
    const written = this.#manifestWriting.then(() => this.#replaceManifest());
    this.#manifestWriting = written.catch(() => undefined);
    return written;
  }

  async #replaceManifest(): Promise<void> {
    if (this.#snapshots.taken.length > 0) await this.#nameTaken();
    const { nodeId, boot, folder } = this.#args;
    const old = manifestFiles(this.#survey).filter(({ name }) => !this.#released.has(name));
    const own: readonly ManifestFile[] =
      this.#trusted ?? this.journal.files().map(({ name, firstCommit }) => ({ name, firstCommit }));
    const files = [...old, ...own.filter(({ name }) => !this.#released.has(name))];
    const { replaced } = this.#snapshots;
    const vnodes = [...this.#snapshots.vnodes.values()];
    this.#isUnwritten = true;
    await writeManifest(this.fs, folder, { nodeId, boot, worker: this.#index, vnodes, files });
    this.#isUnwritten = false;
    for (const { id, sequence } of vnodes) this.space.snapshotTaken(id, sequence);
    for (const name of replaced) {
      await this.removeFile(name);
      this.#snapshots.removed(name);
    }
  }

  /**
   * The manifest names the finished snapshots whose ops are durable in the log as well: a transaction
   * over several vnodes is one frame there, and no part of it may last without the others. What a
   * full disk keeps from being written is named later.
   */
  async #nameTaken(): Promise<void> {
    const { journal } = this;
    const { taken } = this.#snapshots;
    await this.log.settled();
    if (journal.dead) return;
    const isDurable = (snapshot: TakenSnapshot) =>
      !journal.isPending(snapshot.vnodeId, snapshot.sequence);
    this.#snapshots.name(taken.filter(isDurable));
  }

  /** These snapshots are durable: the manifest names them, and what they replace goes. */
  snapshotsTaken(taken: readonly TakenSnapshot[]): Promise<void> {
    this.#snapshots.add(taken);
    return this.#writeManifest();
  }

  /** Snapshots are not named yet, or what they replace is still there: something failed. */
  get isBehind(): boolean {
    return this.#isUnwritten || this.#snapshots.isBehind;
  }

  /** Bytes of a vnode's snapshot; 0: it has none. */
  async snapshotBytes(vnodeId: number): Promise<number> {
    const name = this.#snapshots.vnodes.get(vnodeId)?.snapshot;
    if (name === undefined) return 0;
    return this.fs.size(`${this.#args.folder}/${name}`).catch(() => 0);
  }

  /** Removes a file that no manifest names. */
  removeFile(name: string): Promise<void> {
    return this.fs.remove(`${this.#args.folder}/${name}`);
  }

  /** Whether a journal file was written by this worker in this boot, before its restart or since. */
  isOwn(name: string): boolean {
    return parseJournalFileName(name)?.boot === this.#args.boot;
  }

  /** No manifest of this worker names these files any more when this returns. */
  async release(names: readonly string[]): Promise<void> {
    for (const name of names) this.#released.add(name);
    await this.#writeManifest();
  }

  /**
   * Reads a vnode's ops that follow its snapshot while the node serves: in slices, only the files
   * that hold some, and without judging them again, since the journal knows what it has written.
   */
  async #replayRunning(vnode: ManifestVnode, onOp: (op: RecoveredOp) => void): Promise<void> {
    const { boot } = this.#args;
    const own = this.journal.files().map(({ bytes, ...use }) => {
      const range = { needed: FILE_HEADER_BYTES, accepted: bytes, droppedBytes: 0, durable: 0 };
      return { ...use, ...range, reason: "whole" as const, boot, worker: this.#index };
    });
    const files = [...this.#survey.files, ...own].filter(({ vnodes, sequences }) => {
      return (sequences[vnodes.indexOf(vnode.id)] ?? 0) > vnode.sequence;
    });
    const survey = { files, proven: new Map(), leftovers: [] };
    await replay(survey, {
      ...this.#surveyOptions(),
      manifests: { ...noManifests, vnodes: new Map([[vnode.id, vnode]]) },
      filter: (id) => id === vnode.id,
      onOp,
      pause: () => new Promise((resolve) => setImmediate(resolve)),
    });
  }

  /** The files that hold this worker's data and are not written any more. */
  resting(): RestingFile[] {
    const files: RestingFile[] = [];
    for (const { snapshot } of this.#snapshots.vnodes.values()) {
      if (snapshot !== undefined) files.push({ name: snapshot, end: 0 });
    }
    const old = this.#survey.files.map(({ name, accepted }) => ({ name, end: accepted }));
    const closed = this.journal.files().slice(0, -1);
    const own = closed.map(({ name, bytes }) => ({ name, end: bytes }));
    const needed = ({ name, end }: RestingFile) => end > 0 && !this.#released.has(name);
    return [...files, ...[...old, ...own].filter(needed)];
  }

  /** Bytes of the journal's files. */
  get journalBytes(): number {
    return this.journal.files().reduce((sum, file) => sum + file.bytes, 0);
  }

  /**
   * The journal has failed: notes how far its files are trusted, so that this worker's successor
   * believes no byte beyond the last sync that returned.
   */
  async distrust(): Promise<void> {
    this.#trusted = this.journal.trusted();
    this.log.moved();
    await this.#writeManifest();
  }

  /** Makes everything durable where the next start finds it, and closes the files. */
  async close(): Promise<void> {
    await this.journal.checkPlace();
    await this.journal.close();
  }
}

const NOTHING = { vnodes: new Uint32Array(0), sequences: new Float64Array(0) };

/** Opens the journal of a worker beside what the folder holds. */
export async function openStorage(options: StorageOptions): Promise<WorkerStorage> {
  const { args, index, found, fs, timers, random, events } = options;
  const { folder, nodeId, boot, config } = args;
  const own = found.survey.files.filter((file) => file.boot === boot && file.worker === index);
  const firstFile = own.reduce((last, file) => Math.max(last, file.number), 0) + 1;
  const reserveBytes = Math.ceil(config.journal.reserveBytes / config.workers);
  const reserve = new Reserve(fs, folder, reserveName(index), reserveBytes);
  let storage: WorkerStorage | undefined;
  const journal = await Journal.open({
    fs,
    folder,
    nodeId,
    boot,
    worker: index,
    firstFile,
    random,
    timers,
    reserve,
    fileBytes: config.journal.fileBytes,
    onDurable: () => {
      storage?.log.moved();
      events.onDurable();
    },
    onWritten: () => {
      storage?.log.moved();
      events.onDurable();
    },
    onFull: (full) => {
      storage?.log.moved();
      events.onFull(full);
    },
    onFailed: (error) => events.onFailed(error),
    syncTimes: events.syncTimes,
  });
  storage = new WorkerStorage(options, { journal, reserve });
  return storage;
}
