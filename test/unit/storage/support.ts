/**
 * A tiny node for storage tests: vnodes whose state is the list of their ops, over the journal,
 * recovery, snapshots and manifest. It follows the protocol that a worker follows: recover, write
 * the manifest, write unproven ops again, sync, and only then serve.
 */
import assert from "node:assert/strict";
import { ManualClock } from "../../../runtime/base/clock.ts";
import { below, type Random, seeded } from "../../../runtime/base/prng.ts";
import type { FileUse } from "../../../runtime/storage/file-space.ts";
import { FileSpace } from "../../../runtime/storage/file-space.ts";
import type { FileSystem } from "../../../runtime/storage/files.ts";
import { Journal } from "../../../runtime/storage/journal.ts";
import { journalFileName } from "../../../runtime/storage/journal-format.ts";
import type { JournalOptions } from "../../../runtime/storage/journal-options.ts";
import {
  type Manifest,
  manifestName,
  readManifests,
  writeManifest,
} from "../../../runtime/storage/manifest.ts";
import { MemoryDisk } from "../../../runtime/storage/memory-files.ts";
import { recover } from "../../../runtime/storage/recovery.ts";
import { readSnapshot, SnapshotWriter } from "../../../runtime/storage/snapshot.ts";
import { manifestFiles } from "../../../runtime/storage/survey.ts";

export const FOLDER = "/data";
export const NODE_ID = "0123456789abcdef";
export const SMALL = { fileBytes: 8192, stepBytes: 2048, arenaBytes: 2048 } as const;

/** Runs what is due until the condition holds; the simulated disk needs no time. */
export async function until(condition: () => boolean, what = "the condition"): Promise<void> {
  for (let i = 0; i < 5_000; i++) {
    if (condition()) return;
    await Promise.resolve();
  }
  assert.fail(`${what} never came`);
}

export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await Promise.resolve();
}

export interface JournalUnderTest {
  readonly journal: Journal;
  readonly durable: number[];
  readonly failures: { readonly code: string; readonly lastDurable: number }[];
  readonly clock: ManualClock;
}

/** A journal with small files and everything that it reports. */
export async function openJournal(
  fs: FileSystem,
  options: Partial<JournalOptions> = {},
): Promise<JournalUnderTest> {
  const clock = new ManualClock();
  const durable: number[] = [];
  const failures: { code: string; lastDurable: number }[] = [];
  const journal = await Journal.open({
    fs,
    folder: FOLDER,
    boot: 1,
    worker: 0,
    nodeId: NODE_ID,
    random: seeded(1),
    timers: clock,
    ...SMALL,
    onDurable: (commit) => durable.push(commit),
    onFailed: (error, lastDurable) => failures.push({ code: error.code, lastDurable }),
    ...options,
  });
  return { journal, durable, failures, clock };
}

/** A frame as the test saw it being written. */
export interface Written {
  readonly path: string;
  readonly offset: number;
  readonly bytes: Buffer;
  readonly commit: number;
  readonly claim: number;
  readonly ops: readonly string[];
}

export async function commitNow(
  disk: MemoryDisk,
  journal: Journal,
  ops: string[],
): Promise<Written> {
  const before = journal.writtenThrough;
  let claim = journal.durableThrough;
  journal.commit();
  for (let i = 0; i < 500 && journal.writtenThrough === before; i++) {
    claim = journal.durableThrough;
    await Promise.resolve();
  }
  assert.equal(journal.writtenThrough, before + 1);
  const { boot, worker } = { boot: 1, worker: 0 };
  const path = `${FOLDER}/${journalFileName({ boot, worker, number: journal.fileNumber })}`;
  const end = journal.fileOffset;
  const all = disk.peek(path);
  let offset = end - 512;
  while (all.toString("latin1", offset, offset + 4) !== "COTF") offset -= 512;
  const bytes = Buffer.from(all.subarray(offset, end));
  claim = Number(bytes.readBigUInt64LE(48));
  return { path, offset, bytes, commit: before + 1, claim, ops };
}

/** Appends one op with this text. */
export function append(
  journal: Journal,
  vnode: number,
  sequence: number,
  text: string,
  durable = true,
): void {
  const bytes = Buffer.from(text, "latin1");
  const at = journal.open(vnode, sequence, bytes.length);
  assert.notEqual(at, -1);
  bytes.copy(journal.arena, at);
  journal.seal(bytes.length, durable);
}

export async function newDisk(seed = 1): Promise<MemoryDisk> {
  const disk = new MemoryDisk({ random: seeded(seed) });
  await disk.mount().makeFolder(FOLDER);
  return disk;
}

/** The ops of each vnode, in order. */
export type States = Map<number, string[]>;

/** Everything that the journals of the folder hold, without manifests unless they are there. */
export async function recoverStates(
  fs: FileSystem,
): Promise<{ states: States; unproven: string[]; skipped: number }> {
  const states: States = new Map();
  const unproven: string[] = [];
  const { skippedOps } = await recover({
    fs,
    folder: FOLDER,
    nodeId: NODE_ID,
    manifests: await readManifests(fs, FOLDER, NODE_ID),
    filter: () => true,
    onOp(op, provenDurable) {
      const text = op.bytes.toString("latin1", op.start, op.end);
      const list = states.get(op.vnodeId);
      if (list === undefined) states.set(op.vnodeId, [text]);
      else list.push(text);
      if (!provenDurable) unproven.push(text);
    },
  });
  return { states, unproven, skipped: skippedOps };
}

/** What outlives a crash: the test's own record of what was promised, vnode by vnode. */
export class Ledger {
  /** Every op that the vnode holds now, acknowledged or not. */
  readonly appended: States = new Map();
  /** How many of them were promised to be durable. */
  readonly promised = new Map<number, number>();

  /** Compares what a start found; from then on that is what was promised. */
  check(found: States): void {
    for (const [vnode, ops] of this.appended) {
      const have = found.get(vnode) ?? [];
      const promised = this.promised.get(vnode) ?? 0;
      assert.ok(have.length >= promised, `vnode ${vnode}: ${have.length} of ${promised} promised`);
      assert.deepEqual(have, ops.slice(0, have.length), `vnode ${vnode} holds what it was given`);
    }
    for (const [vnode, ops] of found) {
      assert.ok(ops.length === 0 || this.appended.has(vnode), "no vnode comes from nowhere");
    }
  }

  served(found: States): void {
    this.appended.clear();
    this.promised.clear();
    for (const [vnode, ops] of found) {
      this.appended.set(vnode, [...ops]);
      this.promised.set(vnode, ops.length);
    }
  }
}

export interface TinyNodeOptions {
  readonly fs: FileSystem;
  readonly boot: number;
  readonly worker?: number;
  readonly workers?: number;
  readonly random: Random;
  readonly ledger: Ledger;
}

export class TinyNode {
  readonly states: States = new Map();
  readonly journal: Journal;
  readonly clock = new ManualClock();
  failed = false;
  #space = new FileSpace();
  #options: TinyNodeOptions;
  #manifest: Manifest;
  #durable = 0;
  /** Ops that wait for their commit: commit, vnode, count of the vnode's ops with it. */
  #waiting: { commit: number; vnode: number; count: number }[] = [];
  #added = new Set<string>();

  private constructor(options: TinyNodeOptions, journal: Journal, manifest: Manifest) {
    this.#options = options;
    this.journal = journal;
    this.#manifest = manifest;
  }

  /** Recovers, checks the ledger, writes the manifest and the unproven ops, then serves. */
  static async start(options: TinyNodeOptions): Promise<TinyNode> {
    const { fs, boot, ledger, worker = 0 } = options;
    const manifests = await readManifests(fs, FOLDER, NODE_ID);
    const states: States = new Map();
    for (const { id, snapshot } of manifests.vnodes.values()) {
      if (snapshot === undefined) continue;
      const texts: string[] = [];
      await readSnapshot(fs, `${FOLDER}/${snapshot}`, (bytes, start, end) => {
        texts.push(bytes.toString("latin1", start, end));
      });
      states.set(id, JSON.parse(texts.join("")) as string[]);
    }
    const rewrite: { vnode: number; sequence: number; text: string }[] = [];
    const { survey } = await recover({
      fs,
      folder: FOLDER,
      nodeId: NODE_ID,
      manifests,
      filter: () => true,
      onOp(op, provenDurable) {
        const text = op.bytes.toString("latin1", op.start, op.end);
        const list = states.get(op.vnodeId) ?? [];
        states.set(op.vnodeId, list);
        list.push(text);
        assert.equal(list.length, op.sequence);
        if (!provenDurable) rewrite.push({ vnode: op.vnodeId, sequence: op.sequence, text });
      },
    });
    ledger.check(states);
    for (const name of survey.leftovers) await fs.remove(`${FOLDER}/${name}`);
    let node: TinyNode | undefined;
    const { journal } = await openJournal(fs, {
      boot,
      worker,
      random: options.random,
      onDurable: (commit) => node?.durable(commit),
      onFailed: () => {
        if (node !== undefined) node.failed = true;
      },
    });
    const vnodes = [...manifests.vnodes.values()];
    node = new TinyNode(options, journal, {
      nodeId: NODE_ID,
      boot,
      worker,
      vnodes,
      files: [...manifestFiles(survey), ...liveFiles(journal)],
    });
    for (const file of survey.files) if (file.accepted > 0) node.addClosed(file);
    for (const { id, sequence } of vnodes) node.#space.snapshotTaken(id, sequence);
    for (const [vnode, ops] of states) node.states.set(vnode, ops);
    await writeManifest(fs, FOLDER, node.#manifest);
    for (const { vnode, sequence, text } of rewrite) append(journal, vnode, sequence, text);
    journal.commit();
    const last = journal.writtenThrough;
    await until(() => node.failed || node.#durable >= last, "the rewritten tail's sync");
    if (node.failed) throw new Error("the journal failed while the tail was written");
    journal.prove();
    for (const name of manifests.names) {
      if (name !== manifestName({ boot, worker })) await fs.remove(`${FOLDER}/${name}`);
    }
    await fs.syncFolder(FOLDER);
    ledger.served(states);
    return node;
  }

  addClosed(use: { name: string; vnodes: Uint32Array; sequences: Float64Array }): void {
    if (this.#added.has(use.name)) return;
    this.#added.add(use.name);
    this.#space.add(use);
  }

  durable(commit: number): void {
    this.#durable = commit;
    const { promised } = this.#options.ledger;
    this.#waiting = this.#waiting.filter((wait) => {
      if (wait.commit > commit) return true;
      promised.set(wait.vnode, Math.max(wait.count, promised.get(wait.vnode) ?? 0));
      return false;
    });
  }

  /** One op of this text; part of the promise once its commit is durable. */
  write(vnode: number, text: string, durable: boolean): void {
    const list = this.states.get(vnode) ?? [];
    this.states.set(vnode, list);
    append(this.journal, vnode, list.length + 1, text, durable);
    list.push(text);
    const ledger = this.#options.ledger.appended;
    const all = ledger.get(vnode) ?? [];
    ledger.set(vnode, all);
    all.push(text);
    this.#waiting.push({ commit: this.journal.collecting, vnode, count: list.length });
  }

  /** A snapshot of the vnode, the manifest, and the files that nobody needs then. */
  async snapshot(vnode: number, recycle: boolean): Promise<void> {
    const { fs } = this.#options;
    const ops = this.states.get(vnode) ?? [];
    const sequence = ops.length;
    const writer = await SnapshotWriter.create(fs, FOLDER, {
      vnodeId: vnode,
      sequence,
      createdMs: 0,
    });
    const bytes = Buffer.from(JSON.stringify(ops));
    for (let at = 0; at < bytes.length; at += 700) {
      await writer.chunk(bytes, at, Math.min(bytes.length, at + 700));
    }
    // Its ops must be durable before a snapshot that contains them counts.
    this.journal.syncNow();
    await until(() => this.failed || this.journal.durableThrough >= this.journal.writtenThrough);
    if (this.failed) return;
    const { name } = await writer.finish();
    await fs.syncFolder(FOLDER);
    const vnodes = this.#manifest.vnodes.filter(({ id }) => id !== vnode);
    vnodes.push({ id: vnode, snapshot: name, sequence });
    await this.#writeManifest({ ...this.#manifest, vnodes });
    this.#options.ledger.promised.set(vnode, sequence);
    this.#space.snapshotTaken(vnode, sequence);
    await this.clean(recycle);
  }

  /** Removes what is not needed: first from the manifest, then from the disk. */
  async clean(recycle: boolean): Promise<void> {
    const { fs } = this.#options;
    const live = this.journal.files();
    for (const use of live.slice(0, -1)) this.addClosed(use);
    const gone = new Set(this.#space.unneeded());
    const kept = this.#manifest.files.filter(
      ({ name }) => !gone.has(name) && !live.some((use) => use.name === name),
    );
    const running = live.filter(({ name }) => !gone.has(name)).map(asListed);
    await this.#writeManifest({ ...this.#manifest, files: [...kept, ...running] });
    for (const name of gone) {
      this.#space.remove(name);
      const use = live.find((each) => each.name === name);
      if (recycle && use !== undefined) this.journal.recycle(use);
      else await fs.remove(`${FOLDER}/${name}`);
      this.journal.forget(name);
    }
    this.journal.keepSpares(2);
    await fs.syncFolder(FOLDER);
  }

  async #writeManifest(manifest: Manifest): Promise<void> {
    this.#manifest = manifest;
    await writeManifest(this.#options.fs, FOLDER, manifest);
  }
}

function asListed({ name, firstCommit }: FileUse): { name: string; firstCommit: number } {
  return { name, firstCommit };
}

function liveFiles(journal: Journal): { name: string; firstCommit: number }[] {
  return journal.files().map(asListed);
}

/** Random load: ops on a few vnodes, commits, pauses, snapshots. */
export async function load(node: TinyNode, random: Random, steps: number): Promise<void> {
  for (let step = 0; step < steps && !node.failed; step++) {
    const ops = 1 + below(random, 4);
    for (let i = 0; i < ops && !node.failed; i++) {
      const text = `${step}.${i}:`.padEnd(4 + below(random, 300), "x");
      node.write(below(random, 4), text, below(random, 3) > 0);
    }
    node.journal.commit();
    await turns(below(random, 12));
    if (below(random, 12) === 0) await node.snapshot(below(random, 4), below(random, 2) === 0);
  }
}
