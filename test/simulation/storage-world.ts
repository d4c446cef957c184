/**
 * Random lives of a node on one simulated disk: each boot has its own number of workers, load, faults
 * and end; the last ones are quiet, and then only what is needed may be left.
 */
import assert from "node:assert/strict";
import { below, type Random, seeded } from "../../runtime/base/prng.ts";
import { embeddedConfig } from "../../runtime/config/embedded.ts";
import type { Durability, NodeConfig } from "../../runtime/config.ts";
import { systemCode } from "../../runtime/storage/files.ts";
import { parseJournalFileName } from "../../runtime/storage/journal-format.ts";
import { readManifests } from "../../runtime/storage/manifest.ts";
import type { MemoryDisk } from "../../runtime/storage/memory-files.ts";
import { parseReserveName } from "../../runtime/storage/reserve.ts";
import { parseSnapshotName } from "../../runtime/storage/snapshot.ts";
import { FOLDER, newDisk, START_MS } from "./boot.ts";
import { Ledger } from "./ledger.ts";
import type { SimLoop } from "./loop.ts";
import { Rot } from "./rot.ts";
import { isFromDisk, SimNode } from "./sim-node.ts";

const WORKERS_MAX = 3;
const RESERVE_BYTES = 192 * 1024;
/** How long a node is down: shorter than a key lives, about as long, for ever. */
const DOWN_MS = [1, 2000, 3_600_000];
/** What the wall clock is set by. */
const SHIFTS_MS = [-3_600_000, -3000, -200, 3000];
/** Three partitions of each keyspace: with three workers each has one. */
const VNODE_IDS = [0, 7, 15].flatMap((partition) => [partition, 65536 + partition]);
/** How often a log fills one disk. */
const FILLINGS = 2;
const DURABILITIES: readonly Durability[] = ["always", "interval", "os"];
/** Tries to turn a bit: not every file can prove what it held. */
const TURNS = 5;
/** Longest that a quiet node works on. */
const QUIET_SECONDS = 40;

/** Lives through one seed; throws with what was violated. */
export function liveThrough(seed: number): Promise<void> {
  return new StorageWorld(seed).run();
}

class StorageWorld {
  readonly #random: Random;
  readonly #loop: SimLoop;
  readonly #disk: MemoryDisk;
  readonly #ledger = new Ledger();
  readonly #rot: Rot;
  readonly #fileBytes: number;
  readonly #logBytesMin: number;
  readonly #valueBytesMax: number;
  #nowMs = START_MS;

  constructor(seed: number) {
    const random = seeded(seed);
    this.#random = random;
    const { loop, disk } = newDisk(seed);
    this.#loop = loop;
    this.#disk = disk;
    this.#rot = new Rot(this.#disk, seeded(seed + 0x3000000));
    this.#fileBytes = 8192 << below(random, 3);
    this.#logBytesMin = 1024 << below(random, 5);
    this.#valueBytesMax = below(random, 4) === 0 ? 12_000 : 400;
  }

  async run(): Promise<void> {
    const lives = 2 + below(this.#random, 4);
    for (let i = 0; i < lives; i++) await this.#wildLife();
    this.#rot.heal();
    await this.#quietLife(true);
    await this.#quietLife(false);
  }

  #config(): NodeConfig {
    const workers = 1 + below(this.#random, WORKERS_MAX);
    const config = embeddedConfig(
      { config: { keyspaces: { count: 2, default: { partitions: 16 } } }, workers },
      { folder: "/", machine: { cores: 4, memoryBytes: 2 ** 34 } },
    );
    const { journal, snapshot, keyspaces } = config;
    return {
      ...config,
      journal: { ...journal, fileBytes: this.#fileBytes, reserveBytes: RESERVE_BYTES },
      snapshot: { ...snapshot, logBytesMin: this.#logBytesMin },
      keyspaces: keyspaces.map((keyspace) => {
        return { ...keyspace, durability: DURABILITIES[below(this.#random, 3)] ?? "always" };
      }),
    };
  }

  /** Opens the folder; undefined: the disk did not let it. */
  async #open(): Promise<SimNode | undefined> {
    let node: SimNode | undefined;
    this.#nowMs += DOWN_MS[below(this.#random, DOWN_MS.length)] as number;
    if (below(this.#random, 4) === 0) this.#nowMs += this.#someShift();
    const opening = SimNode.open({
      disk: this.#disk,
      loop: this.#loop,
      ledger: this.#ledger,
      rot: this.#rot,
      random: this.#random,
      config: this.#config(),
      vnodeIds: VNODE_IDS,
      valueBytesMax: this.#valueBytesMax,
      startMs: this.#nowMs,
    }).then((opened) => {
      node = opened;
    });
    try {
      await this.#loop.run(opening, () => this.#disk.off, "the opening of the folder");
    } catch (error) {
      if (!isFromDisk(error)) throw error;
    }
    return node;
  }

  #someShift(): number {
    return SHIFTS_MS[below(this.#random, SHIFTS_MS.length)] as number;
  }

  /** A boot with load and faults, and its end. */
  async #wildLife(): Promise<void> {
    const random = this.#random;
    const disk = this.#disk;
    const before = disk.operations;
    const { refusals } = this.#rot;
    // Ends while it starts, or later, or by its own decision.
    const crashAfter = [60, 1500, Number.POSITIVE_INFINITY][below(random, 3)] as number;
    if (Number.isFinite(crashAfter)) disk.crashAt = before + below(random, crashAfter);
    const faults = below(random, 3) === 0 ? 1 + below(random, 3) : 0;
    this.#plantFaults(faults);
    const node = await this.#open();
    if (node !== undefined) {
      const steps = 20 + below(random, 150);
      const isFilling = below(random, 3) === 0;
      const isImpatient = below(random, 3) === 0;
      for (let step = 0; step < steps && this.#goesOn(node); step++) {
        const isStarting = node.serving.length > 0 && !node.isServing;
        if (isImpatient && isStarting && below(random, 20) === 0) break;
        this.#act(node, isFilling && step > steps / 3);
        await this.#loop.steps(below(random, 8));
      }
      if (this.#goesOn(node) && below(random, 3) === 0) await this.#stopCleanly(node);
      this.#endOf(node);
    }
    if (below(random, 2) === 0) {
      disk.crash();
      this.#ledger.unsure(this.#ledger.vnodes());
    } else {
      disk.kill();
    }
    disk.fault = () => undefined;
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    if (this.#rot.refusals > refusals) this.#rot.heal();
    await this.#loop.settle();
  }

  #goesOn(node: SimNode): boolean {
    return !node.isOver && !this.#disk.off && node.problem === undefined;
  }

  #plantFaults(count: number): void {
    const random = this.#random;
    const from = this.#disk.operations;
    const indexes = new Set(Array.from({ length: count }, () => from + below(random, 800)));
    this.#disk.fault = ({ index, kind }) => {
      if (kind === "read" || !indexes.delete(index)) return undefined;
      return index % 3 === 0 ? "ENOSPC" : "EIO";
    };
  }

  #endOf(node: SimNode): void {
    this.#nowMs = node.nowMs;
    node.end();
    if (node.problem !== undefined) throw node.problem;
  }

  async #stopCleanly(node: SimNode): Promise<void> {
    const isOver = () => this.#disk.off || node.problem !== undefined;
    await this.#loop.settle();
    if (!this.#goesOn(node) || !node.isServing) return;
    const stopping = node.stop().catch((error: unknown) => {
      if (this.#disk.off || systemCode(error) !== undefined) return;
      throw error;
    });
    const isStuck = () =>
      isOver() || node.workers.some(({ storage }) => storage?.journal.dead === true);
    await this.#loop.run(stopping, isStuck, "the clean stop");
  }

  /** One random thing. */
  #act(node: SimNode, isFilling: boolean): void {
    const random = this.#random;
    const disk = this.#disk;
    const worker = node.workers[below(random, node.workers.length)];
    if (worker === undefined) return;
    if (isFilling && below(random, 12) === 0) {
      const isFull = Number.isFinite(disk.capacityBytes);
      disk.capacityBytes = isFull
        ? Number.POSITIVE_INFINITY
        : disk.usedBytes + below(random, 3 * this.#fileBytes);
    }
    // Time flies while some serve and others start.
    const isStarting = node.serving.length > 0 && !node.isServing;
    const choice = below(random, 100);
    if (choice < (isStarting ? 50 : 12)) node.advance(100 + below(random, 1500));
    else if (choice < 16) node.deliver();
    else if (choice < 17) node.shiftClock(this.#someShift());
    else if (worker.state !== "serving") return;
    else if (choice < 21) worker.upkeep?.snapshot();
    else if (choice < 24) node.restartVnode(worker);
    else if (choice < 25) node.kill(worker);
    else if (choice < 30) worker.replaceSnapshot();
    else if (choice < 33) {
      node.turnBit();
      if (below(random, 2) === 0) node.scrub();
    } else worker.turn(4);
  }

  /** A boot on a good disk: it serves, and leaves what is needed and no more. */
  async #quietLife(isFilled: boolean): Promise<void> {
    const node = await this.#open();
    assert.ok(node !== undefined, "a good disk lets the node start");
    const isOver = () => node.problem !== undefined || node.isOver;
    await this.#loop.until(() => isOver() || node.isServing, "the start on a good disk");
    if (node.problem !== undefined) throw node.problem;
    assert.ok(node.isServing, "a good disk lets the workers start");
    if (isFilled) await this.#fillTheDisk(node);
    await this.#scrub(node);
    for (const worker of node.workers) worker.upkeep?.snapshot();
    await this.#quiet(node, () => false);
    if (node.problem !== undefined) throw node.problem;
    if (!isFilled) {
      await this.#checkFiles(node);
      for (const { vnodes } of node.workers) {
        for (const vnode of vnodes.values()) {
          this.#ledger.judgeKeys(vnode.id, vnode, node.nowMs);
          this.#ledger.judgeRest(vnode, node.nowMs);
        }
      }
    }
    await this.#stopCleanly(node);
    this.#endOf(node);
    this.#disk.crash();
    await this.#loop.settle();
  }

  /** What rots is found and replaced while the node serves. */
  async #scrub(node: SimNode): Promise<void> {
    for (let i = 0; i < TURNS && !this.#rot.isThere; i++) node.turnBit();
    node.scrub();
    await this.#quiet(node, () => !this.#rot.isThere);
    assert.ok(!this.#rot.isThere, "a damaged file is replaced");
  }

  async #quiet(node: SimNode, isEnough: () => boolean): Promise<void> {
    for (let second = 0; second < QUIET_SECONDS && !isEnough(); second++) {
      node.advance(1000);
      node.deliver();
      await this.#loop.settle();
    }
  }

  /**
   * A log that fills the disk faster than the chores look is cleaned with the reserve, time and again;
   * with the help of deletes where the tables are larger than that.
   */
  async #fillTheDisk(node: SimNode): Promise<void> {
    const disk = this.#disk;
    const [worker] = node.workers;
    const { journal, reserve } = worker?.storage ?? assert.fail();
    await this.#quiet(node, () => reserve.held);
    assert.ok(reserve.held, "a worker takes its reserve while there is room");
    disk.capacityBytes = disk.usedBytes + RESERVE_BYTES + 8 * this.#fileBytes;
    for (let round = 0; round < FILLINGS; round++) {
      for (let i = 0; i < 2000 && !journal.full; i++) {
        worker?.turn(4);
        await this.#loop.settle();
      }
      disk.capacityBytes = Math.min(disk.capacityBytes, disk.usedBytes);
      await this.#quiet(node, () => {
        if (journal.full && worker !== undefined) {
          if (below(this.#random, 4) === 0) node.restartVnode(worker);
          worker.deleteSome();
        }
        return !journal.full;
      });
      assert.ok(!journal.full, "a full disk is cleaned with the reserve");
    }
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    await this.#quiet(node, () => false);
    assert.ok(!journal.full, "a disk that has space again is written to");
  }

  /** Only what is needed is left. */
  async #checkFiles(node: SimNode): Promise<void> {
    const fs = this.#disk.mount();
    const { workers, boot } = node;
    const journals = workers.map(({ storage }) => storage?.journal ?? assert.fail());
    const inUse = new Set(journals.flatMap((journal) => journal.files().map(({ name }) => name)));
    const manifests: string[] = [];
    let surplus = 0;
    let named: Awaited<ReturnType<typeof readManifests>> | undefined;
    await this.#loop.run(
      readManifests(fs, FOLDER, node.nodeId).then((read) => {
        named = read;
      }),
      () => false,
      "the manifests",
    );
    const snapshots = new Set([...(named?.vnodes.values() ?? [])].map(({ snapshot }) => snapshot));
    for (const path of this.#disk.paths()) {
      const name = path.slice(FOLDER.length + 1);
      const journal = parseJournalFileName(name);
      if (name.startsWith("manifest-")) manifests.push(name);
      else if (parseSnapshotName(name) !== undefined) {
        assert.ok(snapshots.has(name), `${name} is left, which no manifest names`);
      } else if (journal !== undefined) {
        assert.equal(journal.boot, boot, `${name} of an earlier boot is left`);
        if (!inUse.has(name)) surplus++;
      } else if (parseReserveName(name) !== undefined) {
        assert.ok(Number(parseReserveName(name)) < workers.length, `${name} is nobody's`);
      } else assert.ok(["node.json", "owner.lock", "owner.pid"].includes(name), `${name} is left`);
    }
    assert.equal(manifests.length, workers.length, `manifests: ${manifests.join(" ")}`);
    assert.ok(surplus <= workers.length, `${surplus} journal files beside those in use`);
    for (const journal of journals) {
      assert.ok(journal.files().length <= 2, "a quiet worker needs no old files");
    }
  }
}
