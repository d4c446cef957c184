/**
 * What a worker does besides serving, in small slices between turns: frees what was deleted,
 * sweeps what has expired, takes snapshots that are due, lets old files go, watches its clients.
 *
 * Invariant: a slice takes about a millisecond; while there is more to do, every turn of the event
 * loop does one.
 */
import type { Clock, Timers } from "../../runtime/base/clock.ts";
import { ClockSteps, movedPast } from "../../runtime/base/clock-steps.ts";
import type { ClientsConfig } from "../../runtime/config.ts";
import type { Client } from "../gateway/client.ts";
import type { Exchange } from "../gateway/exchange.ts";
import { EXPIRY_SWEEP_ITEMS, sweep } from "../vnode/sweep.ts";
import type { Vnode } from "../vnode/vnode.ts";
import type { PartitionLocks } from "./partition-locks.ts";
import type { Snapshots } from "./snapshots.ts";
import type { WorkerStats } from "./worker-stats.ts";

/** How often chores are looked for. */
const TICK_MS = 100;
/** Detached elements freed between two looks at the clock. */
const FREE_ITEMS = 1_000;
/** Time that one slice may take before it leaves the rest to the next turn. */
const SLICE_MS = 1;
/** A vnode is swept on while a tenth of what was looked at had expired, all while a fiftieth had. */
const SWEEP_ON_KEYS = EXPIRY_SWEEP_ITEMS / 10;
const SWEEP_ON_PART = 1 / 50;
/** Slices that a vnode is swept in before the others have their turn, however much of it expires. */
const SWEEP_ON_SLICES = 4;
/** Ticks between looks at what costs more than a look. */
const SLOW_TICKS = 10;

export interface ChoresOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly exchange: Exchange;
  readonly stats: WorkerStats;
  readonly snapshots: Snapshots;
  readonly limits: ClientsConfig;
  readonly clients: ReadonlyMap<number, Client>;
  readonly locks: PartitionLocks;
  vnodes(): Iterable<Vnode>;
  isSweeping(): boolean;
  /** Runs a function after this turn. */
  soon(run: () => void): void;
  /** The turn has ops to commit. */
  schedule(): void;
  /** Lets files go that nothing needs any more. */
  clean(): void;
  /** Syncs what is only written, where a keyspace asks for that every so often; else null. */
  readonly interval: { readonly everyMs: number; sync(): void } | null;
}

export class Chores {
  readonly #options: ChoresOptions;
  readonly #steps: ClockSteps;
  #ticks = 0;
  #isWorking = false;
  #isStopped = false;
  /** Vnodes that the last slices were done with: the next ones begin behind them. */
  #freed = 0;
  #swept = 0;
  /** Slices that the vnode whose turn it is was swept in. */
  #sweptIn = 0;

  constructor(options: ChoresOptions) {
    this.#options = options;
    this.#steps = new ClockSteps(options.clock);
    this.#next();
    this.#nextSync();
  }

  #nextSync(): void {
    const { interval, timers } = this.#options;
    if (interval === null) return;
    timers.after(interval.everyMs, () => {
      if (this.#isStopped) return;
      interval.sync();
      this.#nextSync();
    });
  }

  stop(): void {
    this.#isStopped = true;
  }

  #next(): void {
    this.#options.timers.after(TICK_MS, () => {
      if (this.#isStopped) return;
      this.#tick();
      this.#next();
    });
  }

  #tick(): void {
    const { exchange, clock, snapshots, vnodes } = this.#options;
    this.#ticks++;
    const stepMs = this.#steps.take();
    exchange.expire(clock.now(), stepMs);
    this.#options.locks.expire(clock.now(), stepMs);
    this.#watchClients(stepMs);
    if (!this.#isWorking) this.#work();
    if (this.#ticks % SLOW_TICKS !== 0) return;
    this.#options.stats.sample(clock.now());
    snapshots.wantDue(vnodes());
    this.#options.clean();
  }

  /** One slice; goes on in the next turn while there is more. */
  #work(): void {
    if (this.#isStopped) return;
    const endMs = this.#options.clock.monotonicMs() + SLICE_MS;
    const vnodes = [...this.#options.vnodes()];
    const frees = this.#free(vnodes, endMs);
    const sweeps = this.#options.isSweeping() && this.#sweep(vnodes, endMs);
    this.#isWorking = frees || sweeps;
    if (this.#isWorking) this.#options.soon(() => this.#work());
  }

  /** Frees what was deleted. Whether there is more of it. */
  #free(vnodes: readonly Vnode[], endMs: number): boolean {
    const { clock } = this.#options;
    let hasMore = false;
    for (const vnode of behind(vnodes, this.#freed)) {
      this.#freed++;
      const { garbage } = vnode.partition.table;
      if (garbage.isEmpty) continue;
      let isLeft = garbage.collect(FREE_ITEMS);
      while (isLeft && clock.monotonicMs() <= endMs) isLeft = garbage.collect(FREE_ITEMS);
      if (isLeft) hasMore = true;
      if (clock.monotonicMs() > endMs) return true;
    }
    return hasMore;
  }

  /** Sweeps what has expired. Whether there is so much of it that the next turn goes on. */
  #sweep(vnodes: readonly Vnode[], endMs: number): boolean {
    const { clock, stats, locks } = this.#options;
    const nowMs = clock.now();
    let looked = 0;
    let expired = 0;
    for (const vnode of behind(vnodes, this.#swept)) {
      let found = 0;
      // What a transaction has locked is as it has seen it, until it has done what it does.
      if (vnode.partition.table.expiring > 0 && locks.isFree(vnode.id)) {
        do {
          found = sweep(vnode, nowMs, EXPIRY_SWEEP_ITEMS);
          looked += EXPIRY_SWEEP_ITEMS;
          expired += found;
        } while (found >= SWEEP_ON_KEYS && clock.monotonicMs() <= endMs);
      }
      if (found < SWEEP_ON_KEYS || ++this.#sweptIn === SWEEP_ON_SLICES) {
        this.#swept++;
        this.#sweptIn = 0;
      }
      if (clock.monotonicMs() > endMs) break;
    }
    stats.expiredKeys += expired;
    if (expired > 0) this.#options.schedule();
    return expired > 0 && expired >= looked * SWEEP_ON_PART;
  }

  /** Idle clients, and those that do not read what they asked for. */
  #watchClients(stepMs: number): void {
    const { clients, limits, clock } = this.#options;
    const nowMs = clock.now();
    for (const client of clients.values()) {
      const { connection } = client;
      if (connection === undefined) continue;
      if (stepMs !== 0) {
        client.lastCommandAtMs = movedPast(client.lastCommandAtMs, nowMs, stepMs);
        client.unauthenticatedSinceMs = movedPast(client.unauthenticatedSinceMs, nowMs, stepMs);
      }
      // Who has commands that wait for this node is not idle.
      const isHeld = connection.isLate || connection.isBlocked;
      const idleMs = isHeld ? 0 : nowMs - client.lastCommandAtMs;
      if (limits.idleTimeoutMs > 0 && idleMs > limits.idleTimeoutMs) connection.destroy();
      else if (
        !client.isAuthenticated &&
        !isHeld &&
        nowMs - client.unauthenticatedSinceMs > limits.handshakeTimeoutMs
      ) {
        connection.destroy();
      } else connection.watchOutput(clock.monotonicMs());
    }
  }
}

/** All of them, the first `count` last: however much the others ask for, nobody is left out. */
function behind<T>(all: readonly T[], count: number): readonly T[] {
  const at = all.length === 0 ? 0 : count % all.length;
  return [...all.slice(at), ...all.slice(0, at)];
}
