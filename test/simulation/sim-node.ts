/**
 * One boot of a simulated node: the real data folder, the real removal of earlier files, and workers
 * that start together, die and are restarted, in one process under one seed.
 */
import { BirthSurveys } from "../../actors/supervisor/birth-surveys.ts";
import { EarlierFiles } from "../../actors/supervisor/earlier-files.ts";
import { Scrub } from "../../actors/supervisor/scrub.ts";
import type { WorkerArgs } from "../../actors/worker/worker-args.ts";
import { ManualClock } from "../../runtime/base/clock.ts";
import { CoterieError } from "../../runtime/base/errors.ts";
import { below, type Random } from "../../runtime/base/prng.ts";
import type { NodeConfig } from "../../runtime/config.ts";
import { causeCode } from "../../runtime/storage/files.ts";
import type { MemoryDisk } from "../../runtime/storage/memory-files.ts";
import { type VerifyArgs, verifyFile } from "../../runtime/storage/verify.ts";
import type { Pool } from "../../runtime/thread/pool.ts";
import { FOLDER, openFolder } from "./boot.ts";
import type { Ledger } from "./ledger.ts";
import type { SimLoop } from "./loop.ts";
import type { Rot } from "./rot.ts";
import { SimWorker } from "./sim-worker.ts";

/** How soon the scrub looks for files. */
const SCRUB_LOOK_MS = 500;

/** Whether the simulated disk has given this error. */
export function isFromDisk(error: unknown): boolean {
  // A journal that is dead says so to whoever asks something of it.
  if (error instanceof CoterieError && error.code === "DISK_FAILED") return true;
  return ["EPOWER", "EIO", "ENOSPC"].includes(causeCode(error) ?? "");
}

export interface SimNodeOptions {
  readonly disk: MemoryDisk;
  readonly loop: SimLoop;
  readonly ledger: Ledger;
  readonly rot: Rot;
  readonly random: Random;
  readonly config: NodeConfig;
  readonly vnodeIds: readonly number[];
  readonly valueBytesMax: number;
  readonly startMs: number;
}

export class SimNode {
  readonly workers: SimWorker[] = [];
  /** The process has ended, or is about to. */
  isOver = false;
  /** What a disk does not explain. */
  problem: Error | undefined;
  /** Of the main thread. */
  readonly #clock: ManualClock;
  readonly #options: SimNodeOptions;
  readonly #args: WorkerArgs;
  readonly #earlier: EarlierFiles;
  readonly #surveys: BirthSurveys;
  /** Messages to the main thread that have not arrived yet. */
  #messages: { readonly worker: number; readonly names: readonly string[] }[] = [];

  private constructor(options: SimNodeOptions, args: WorkerArgs) {
    const { disk, config } = options;
    this.#options = options;
    this.#clock = new ManualClock(options.startMs);
    options.ledger.clockAt(options.startMs);
    this.#args = args;
    const { nodeId, boot } = args;
    const place = { fs: disk.mount(), folder: FOLDER, nodeId, boot };
    this.#surveys = new BirthSurveys(place);
    this.#earlier = new EarlierFiles({
      ...place,
      workers: config.workers,
      failed: (error) => this.#broken(error),
    });
    for (let index = 0; index < config.workers; index++) this.#startWorker(index);
  }

  /** Opens the folder; its workers start by themselves. */
  static async open(options: SimNodeOptions): Promise<SimNode> {
    return new SimNode(options, await openFolder(options));
  }

  get nowMs(): number {
    return this.#clock.now();
  }

  get nodeId(): string {
    return this.#args.nodeId;
  }

  get boot(): number {
    return this.#args.boot;
  }

  get isServing(): boolean {
    return this.workers.every(({ state }) => state === "serving");
  }

  get serving(): SimWorker[] {
    return this.workers.filter(({ state }) => state === "serving");
  }

  #startWorker(index: number): void {
    const { disk, ledger, random, vnodeIds, valueBytesMax } = this.#options;
    const fs = disk.mount();
    // Some start long before the others.
    const delay = below(random, 3) === 0 ? below(random, 400) : 0;
    const worker: SimWorker = new SimWorker({
      args: this.#args,
      index,
      found: async () => {
        await this.#earlier.idle();
        return this.#surveys.of(index);
      },
      fs,
      random,
      ledger,
      startMs: this.nowMs,
      valueBytesMax,
      vnodeIds,
      released: (names) => void this.#messages.push({ worker: index, names }),
      journalFailed: () => void this.#journalFailed(worker),
      broken: (error) => this.#broken(error),
      isExpected: (error) => this.#isExpected(error),
      pause: () => this.#wait(delay),
    });
    this.workers[index] = worker;
    void worker.start().then(
      () => this.#started(index),
      (error: unknown) => {
        if (worker.state === "dead") return;
        // A node whose worker cannot start ends.
        this.#broken(error);
        this.isOver = true;
      },
    );
  }

  async #wait(turns: number): Promise<void> {
    for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
  }

  #started(worker: number): void {
    this.#earlier.workerUp(worker);
    if (!this.isServing) return;
    try {
      this.#options.ledger.judgeTransactions();
    } catch (error) {
      this.#broken(error);
    }
  }

  #isExpected(error: unknown): boolean {
    return this.isOver || isFromDisk(error);
  }

  #broken(error: unknown): void {
    // A folder that is known to be damaged is not served.
    if (this.#options.rot.explains(error)) this.isOver = true;
    else if (!this.#isExpected(error)) this.problem ??= error as Error;
  }

  /** As worker.ts does: what the disk did not keep is said, then the thread ends. */
  async #journalFailed(worker: SimWorker): Promise<void> {
    const { ledger } = this.#options;
    ledger.unsure(ledger.vnodes().filter((id) => worker.owns(id)));
    await worker.storage?.distrust().catch((error: unknown) => this.#broken(error));
    this.kill(worker);
  }

  /** A worker thread ends without a word; another takes its place. */
  kill(worker: SimWorker): void {
    if (worker.state === "dead" || this.isOver) return;
    const { disk } = this.#options;
    worker.state = "dead";
    const fs = worker.storage?.fs;
    if (fs !== undefined) disk.unmount(fs);
    this.deliver();
    this.#earlier.workerDown(worker.index);
    if (!disk.off) this.#startWorker(worker.index);
  }

  /** What the workers said arrives at the main thread. */
  deliver(): void {
    for (const { worker, names } of this.#messages.splice(0)) this.#earlier.released(worker, names);
  }

  /** Time goes on. */
  advance(ms: number): void {
    this.#clock.advance(ms);
    this.#options.ledger.clockAt(this.nowMs);
    for (const worker of [...this.workers]) {
      if (worker.state === "dead") continue;
      try {
        worker.clock.advance(ms);
      } catch (error) {
        this.#threw(worker, error);
      }
    }
  }

  /** The wall clock is set, ahead or back. */
  shiftClock(ms: number): void {
    this.#clock.shift(ms);
    this.#options.ledger.clockAt(this.nowMs);
    for (const worker of this.workers) worker.clock.shift(ms);
  }

  /** Nobody catches what a chore throws: the thread ends. */
  #threw(worker: SimWorker, error: unknown): void {
    if (worker.storage?.journal.dead !== true) this.problem ??= error as Error;
    this.kill(worker);
  }

  /** The disk turns a bit of a file at rest. */
  turnBit(): void {
    const { rot, random } = this.#options;
    const { storage } = this.serving[below(random, this.serving.length)] ?? {};
    if (storage !== undefined) rot.strike(storage, FOLDER, this.boot);
  }

  /** Reads all files at rest again, and has what is damaged replaced. */
  scrub(): void {
    const fs = this.#options.disk.mount();
    new Scrub({
      pool: {
        run: ((_job: string, args: VerifyArgs) => verifyFile(fs, args)) as Pool["run"],
        close: async () => undefined,
      },
      folder: FOLDER,
      workers: this.workers.length,
      clock: this.#clock,
      timers: this.#clock,
      lookMs: SCRUB_LOOK_MS,
      resting: async (index) => this.serving.find((one) => one.index === index)?.storage?.resting(),
      replace: async (index, name) => this.workers[index]?.upkeep?.replaceFile(name),
      damaged: () => undefined,
      failed: (error) => this.#broken(error),
    });
  }

  restartVnode(worker: SimWorker): void {
    worker.restartVnode().catch((error: unknown) => this.#broken(error));
  }

  /** The process is gone. */
  end(): void {
    this.isOver = true;
    for (const worker of this.workers) worker.state = "dead";
  }

  /** Clean stop. Everything that was made is durable, unless there was no room. */
  async stop(): Promise<void> {
    const { ledger } = this.#options;
    await Promise.all(this.workers.map((worker) => worker.stop()));
    for (const worker of this.workers) {
      const journal = worker.storage?.journal;
      if (journal === undefined || journal.full || worker.state !== "serving") continue;
      if (journal.durableThrough < journal.writtenThrough) continue;
      for (const { id, partition } of worker.vnodes.values()) {
        if (!journal.isPending(id, partition.sequence)) {
          ledger.promise(id, partition.sequence, "durable");
        }
      }
    }
  }
}
