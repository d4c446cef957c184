/** What dispatch and transactions need of the worker that they run on: types only. */
import type { Clock } from "../../runtime/base/clock.ts";
import type { LogEvent } from "../../runtime/base/log.ts";
import type { CommandTable } from "../command-table.ts";
import type { Executor } from "../vnode/executor.ts";
import type { PartitionLocks } from "../worker/partition-locks.ts";
import type { Pause } from "../worker/pause.ts";
import type { Slices } from "../worker/slices.ts";
import type { Vnodes } from "../worker/vnodes.ts";
import type { WorkerLog } from "../worker/worker-log.ts";
import type { WorkerView } from "../worker/worker-view.ts";
import type { Exchange } from "./exchange.ts";
import type { Scratch } from "./scratch.ts";
import type { SlotMap } from "./slot-map.ts";

export interface DispatchHost extends WorkerView {
  readonly table: CommandTable;
  readonly clock: Clock;
  readonly executor: Executor;
  readonly exchange: Exchange;
  readonly slots: SlotMap;
  readonly locks: PartitionLocks;
  /** Work that takes many turns. */
  readonly slices: Slices;
  readonly vnodesHere: Vnodes;
  readonly gates: WorkerLog;
  readonly clientPause: Pause;
  /** Why changes are refused now, as an error reply; null: they are not. */
  refusesWrite(deniesOom: boolean): string | null;
  /**
   * Whether a partition's commands on this key (none given: on any) can run now: it serves, no
   * transaction holds it, and there is not much to judge of the key (garbage.ts).
   */
  canRun(keyspace: number, partition: number, key?: Buffer, start?: number, end?: number): boolean;
  /** Calls back when they can, or with the error to reply. */
  whenReady(keyspace: number, partition: number, done: (error: string | null) => void): void;
  /** Takes the running command back: something threw. Its vnodes restart. */
  rollBack(mark: number, error: unknown): void;
  mark(): number;
  unpack(bytes: Buffer): unknown;
  /** Makes sure that the turn has an end: its ops are committed, its ports flushed. */
  schedule(): void;
  newScratch(): Scratch;
  /** A turn that no client's bytes have begun: reads the clock. */
  beginTurn(): void;
  /** One line for the log. */
  report(event: LogEvent): void;
}
