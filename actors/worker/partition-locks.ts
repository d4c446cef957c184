/**
 * Partitions that a transaction over several workers holds for itself, and who waits for them.
 *
 * A transaction takes all that it needs here in one step, worker after worker in rising order, so
 * whoever waits holds nothing on this worker or on later ones: no two wait for each other.
 *
 * Invariant: waiters are served in the order in which they came; each is called once, unless what it
 * waits for is released before.
 */
import { movedDeadline } from "../../runtime/base/clock-steps.ts";

// limits:
/** How long a command or a transaction waits for a partition that another one holds. */
export const LOCK_TIMEOUT_MS = 5_000;
/** Commands and transactions that wait on one worker. */
export const LOCK_WAITERS_MAX = 65_536;

/** Null: it has what it waited for; else why not, in words. */
export type OnLock = (refusal: string | null) => void;

const HELD_TOO_LONG =
  "TRYAGAIN a transaction over several worker threads holds this partition; try again";
const TOO_MANY =
  "BUSY too many commands wait for partitions that transactions hold; try again later";

interface Waiter {
  readonly vnodes: readonly number[];
  /** Empty: a command, which only waits until nobody holds its partition. */
  readonly holder: string;
  readonly coordinator: number;
  deadlineMs: number;
  readonly done: OnLock;
}

interface Held {
  readonly holder: string;
  readonly coordinator: number;
}

export class PartitionLocks {
  readonly #held = new Map<number, Held>();
  #waiting: Waiter[] = [];
  #isServing = false;
  #hasChanged = false;

  /** Partitions that are held. 0 is the usual case: nobody need look further. */
  get size(): number {
    return this.#held.size;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  isFree(vnode: number): boolean {
    return !this.#held.has(vnode);
  }

  /** Takes partitions for a transaction, at once or when they are free. */
  lock(
    vnodes: readonly number[],
    { holder, coordinator }: Held,
    nowMs: number,
    done: OnLock,
  ): void {
    this.#wait({ vnodes, holder, coordinator, deadlineMs: nowMs + LOCK_TIMEOUT_MS, done });
  }

  /** Waits until nobody holds a partition. */
  whenFree(vnode: number, nowMs: number, done: OnLock): void {
    const deadlineMs = nowMs + LOCK_TIMEOUT_MS;
    this.#wait({ vnodes: [vnode], holder: "", coordinator: -1, deadlineMs, done });
  }

  #wait(waiter: Waiter): void {
    if (this.#waiting.length >= LOCK_WAITERS_MAX) {
      waiter.done(TOO_MANY);
      return;
    }
    this.#waiting.push(waiter);
    this.#serve();
  }

  /** Frees what a transaction holds; it waits for nothing any more. */
  release(holder: string): void {
    this.#free((held) => held.holder === holder);
    this.#waiting = this.#waiting.filter((waiter) => waiter.holder !== holder);
    this.#serve();
  }

  /** Frees what all transactions of one coordinator hold. */
  releaseAll(coordinator: number): void {
    this.#free((held) => held.coordinator === coordinator);
    this.#waiting = this.#waiting.filter((waiter) => waiter.coordinator !== coordinator);
    this.#serve();
  }

  #free(isMeant: (held: Held) => boolean): void {
    for (const [vnode, held] of this.#held) if (isMeant(held)) this.#held.delete(vnode);
  }

  /** Ends the waiting of who has waited too long. `stepMs`: the wall clock was set meanwhile. */
  expire(nowMs: number, stepMs = 0): void {
    if (this.#waiting.length === 0) return;
    const times = { nowMs, stepMs, timeoutMs: LOCK_TIMEOUT_MS };
    for (const waiter of this.#waiting) {
      waiter.deadlineMs = movedDeadline(waiter.deadlineMs, times);
    }
    const late = this.#waiting.filter((waiter) => waiter.deadlineMs <= nowMs);
    if (late.length === 0) return;
    this.#waiting = this.#waiting.filter((waiter) => waiter.deadlineMs > nowMs);
    for (const waiter of late) waiter.done(HELD_TOO_LONG);
    this.#serve();
  }

  /** Gives everybody who can have it what they wait for. Callbacks may come back here. */
  #serve(): void {
    this.#hasChanged = true;
    if (this.#isServing) return;
    this.#isServing = true;
    while (this.#hasChanged) {
      this.#hasChanged = false;
      for (let next = this.#takeNext(); next !== undefined; next = this.#takeNext()) {
        next.done(null);
      }
    }
    this.#isServing = false;
  }

  /** The first waiter that can go on; it holds its partitions then. */
  #takeNext(): Waiter | undefined {
    const wanted = new Set<number>();
    for (let i = 0; i < this.#waiting.length; i++) {
      const waiter = this.#waiting[i] as Waiter;
      const { vnodes, holder, coordinator } = waiter;
      const canGo = vnodes.every((vnode) => this.isFree(vnode) && !wanted.has(vnode));
      if (canGo) {
        this.#waiting.splice(i, 1);
        if (holder !== "") {
          for (const vnode of vnodes) this.#held.set(vnode, { holder, coordinator });
        }
        return waiter;
      }
      if (holder !== "") for (const vnode of vnodes) wanted.add(vnode);
    }
    return undefined;
  }
}
