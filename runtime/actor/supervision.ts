/**
 * Supervision: who restarts whom, and when to give up.
 *
 *   child fails ──► window allows? ──yes──► begin again (at once, then with growing delays)
 *                        │ no
 *                        ▼
 *              halt all children, fail to the parent ──► … ──► the root handler
 *
 * One for one: siblings of a failed child never notice. The restart intensity is counted per child,
 * not per supervisor: one failed disk restarts every vnode at once, which is not a crash loop.
 *
 * Invariant: a child that fails more often than its policy allows is not begun again by its own
 * supervisor, whatever the order of failures, halts and delayed restarts.
 */
import type { Clock, Timers } from "../base/clock.ts";
import { CoterieError } from "../base/errors.ts";
import type { Random } from "../base/prng.ts";
import { below } from "../base/prng.ts";
import type { Scheduler } from "./timers.ts";

// limits:
/** Restarts of one child within `RESTART_WINDOW_MS` before its supervisor gives up. */
export const RESTARTS_MAX = 5;
export const RESTART_WINDOW_MS = 10_000;
/** Delay before the second restart in a window; doubles up to the maximum, with jitter. */
export const RESTART_DELAY_MS = 50;
export const RESTART_DELAY_MS_MAX = 1_000;

/** How often a child may fail, and how long it rests. The first restart is immediate. */
export interface RestartPolicy {
  readonly restartsMax: number;
  readonly withinMs: number;
  readonly delayMs: number;
  readonly delayMsMax: number;
}

export const RESTART_POLICY: RestartPolicy = {
  restartsMax: RESTARTS_MAX,
  withinMs: RESTART_WINDOW_MS,
  delayMs: RESTART_DELAY_MS,
  delayMsMax: RESTART_DELAY_MS_MAX,
};

export type Verdict =
  | { readonly kind: "restart"; readonly delayMs: number; readonly failures: number }
  | { readonly kind: "give up"; readonly failures: number };

/** The failures of one child within the policy's window. */
export class RestartWindow {
  readonly #policy: RestartPolicy;
  #failuresMs: number[] = [];

  constructor(policy: RestartPolicy) {
    this.#policy = policy;
  }

  /** How long a child rests that may be begun again as often as it takes. */
  get delayMsMax(): number {
    return this.#policy.delayMsMax;
  }

  /** Counts a failure at `nowMs` (monotonic) and judges it. */
  fail(nowMs: number, random: Random): Verdict {
    const { restartsMax, withinMs, delayMs, delayMsMax } = this.#policy;
    this.#failuresMs = this.#failuresMs.filter((failedMs) => nowMs - failedMs < withinMs);
    this.#failuresMs.push(nowMs);
    const failures = this.#failuresMs.length;
    if (failures > restartsMax) return { kind: "give up", failures };
    if (failures === 1) return { kind: "restart", delayMs: 0, failures };
    const fullMs = Math.min(delayMsMax, delayMs * 2 ** (failures - 2));
    return {
      kind: "restart",
      delayMs: fullMs / 2 + below(random, 1000) * (fullMs / 2000),
      failures,
    };
  }

  forget(): void {
    this.#failuresMs = [];
  }
}

/** What a supervisor keeps alive: an actor or another supervisor. */
export interface Supervised {
  readonly path: string;
  readonly window: RestartWindow;
  /** Starts, or starts again; does nothing unless it is down. */
  begin(): void;
  /** Drops its state until `begin`; messages wait. */
  halt(reason: CoterieError): void;
  /** Ends for good. */
  stop(): void;
}

/** What supervision needs from its system. */
export interface SupervisionContext {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly scheduler: Scheduler;
  readonly random: Random;
  /** A crash loop has reached the root: everything is stopped, the owner decides what next. */
  readonly onRootFailure: (error: CoterieError) => void;
}

/** A node of the tree. */
export class Supervisor implements Supervised {
  readonly path: string;
  readonly window: RestartWindow;
  readonly #parent: Supervisor | undefined;
  readonly #context: SupervisionContext;
  readonly #children = new Set<Supervised>();
  #phase: "running" | "down" | "stopped" = "running";
  /** Moves with every halt: restarts that were scheduled before it are void. */
  #epoch = 0;

  constructor(
    path: string,
    parent: Supervisor | undefined,
    policy: RestartPolicy,
    context: SupervisionContext,
  ) {
    this.path = path;
    this.window = new RestartWindow(policy);
    this.#parent = parent;
    this.#context = context;
    if (parent !== undefined) parent.#children.add(this);
    if (parent !== undefined && parent.#phase !== "running") this.#phase = parent.#phase;
  }

  get phase(): "running" | "down" | "stopped" {
    return this.#phase;
  }

  get childCount(): number {
    return this.#children.size;
  }

  /** Takes a child in and begins it, or leaves that to its own next `begin`. */
  adopt(child: Supervised): void {
    this.#children.add(child);
    if (this.#phase === "running") child.begin();
    else if (this.#phase === "stopped") child.stop();
  }

  /** A child ended for good. */
  release(child: Supervised): void {
    this.#children.delete(child);
  }

  /** A child has dropped its state because of `reason`: begin it again or give up. */
  childFailed(child: Supervised, reason: unknown): void {
    if (this.#phase !== "running" || !this.#children.has(child)) return;
    const { clock, timers, scheduler, random } = this.#context;
    const verdict = child.window.fail(clock.monotonicMs(), random);
    switch (verdict.kind) {
      case "restart": {
        const epoch = this.#epoch;
        const begin = () => {
          if (epoch === this.#epoch && this.#children.has(child)) child.begin();
        };
        if (verdict.delayMs === 0) scheduler.soon(begin);
        else timers.after(verdict.delayMs, begin);
        return;
      }
      case "give up":
        this.#escalate(crashLoop(child, verdict.failures, reason));
    }
  }

  begin(): void {
    if (this.#phase !== "down") return;
    this.#phase = "running";
    for (const child of [...this.#children]) {
      child.window.forget();
      child.begin();
    }
  }

  halt(reason: CoterieError): void {
    if (this.#phase !== "running") return;
    this.#phase = "down";
    this.#epoch++;
    for (const child of [...this.#children].reverse()) child.halt(reason);
  }

  stop(): void {
    if (this.#phase === "stopped") return;
    this.#phase = "stopped";
    this.#epoch++;
    for (const child of [...this.#children].reverse()) child.stop();
    this.#children.clear();
    this.#parent?.release(this);
  }

  #escalate(error: CoterieError): void {
    this.halt(error);
    if (this.#parent !== undefined) {
      this.#parent.childFailed(this, error);
      return;
    }
    this.stop();
    this.#context.onRootFailure(error);
  }
}

function crashLoop(child: Supervised, failures: number, cause: unknown): CoterieError {
  // A branch that failed passes on where it began.
  if (cause instanceof CoterieError && cause.code === "CRASH_LOOP") return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new CoterieError(
    "CRASH_LOOP",
    `${child.path} failed ${failures} times in a row; last: ${why}`,
    { detail: { path: child.path, failures }, cause },
  );
}
