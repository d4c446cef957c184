/**
 * Which addresses have sent wrong passwords, and for how long none of theirs is looked at. Each
 * worker keeps its own table.
 *
 *   wrong password   1  2  3    4    5     6     7     8  9, 10 …
 *   locked out, ms   0  0  0  250  500  1000  2000  4000     8000
 *
 * A try during a lockout is not looked at before it ends, and does not make it longer; then tries are
 * looked at in the order of their arrival (authentication.ts), so nobody is locked out for ever by
 * others at the same address who try again sooner. A right password forgets nothing: beside it
 * others may guess.
 *
 * Invariant: an address is locked out for at most LOCKOUT_MS_MAX at a time, and as many addresses as
 * there may be are remembered.
 */
import { isIP } from "node:net";
import type { Clock } from "../../runtime/base/clock.ts";

// limits:
/** Wrong passwords of an address that cost nothing. */
export const FREE_FAILURES = 3;
/** The first lockout, and the longest: each is twice the one before. */
export const LOCKOUT_MS_FIRST = 250;
export const LOCKOUT_MS_MAX = 8_000;
/** After so long without a wrong password an address begins anew. */
export const FAILURES_KEPT_MS = 15 * 60_000;
/** Addresses that are remembered; past it, who failed longest ago is forgotten. */
export const ADDRESSES_MAX = 10_000;

interface Failures {
  readonly count: number;
  readonly lastMs: number;
  readonly lockedUntilMs: number;
}

export class Lockouts {
  readonly #clock: Clock;
  readonly #addressesMax: number;
  /** By address, who failed longest ago first. */
  readonly #failures = new Map<string, Failures>();

  constructor(clock: Clock, addressesMax = ADDRESSES_MAX) {
    this.#clock = clock;
    this.#addressesMax = addressesMax;
  }

  /** Addresses that are remembered. */
  get size(): number {
    return this.#failures.size;
  }

  /** How long an address is still locked out, ms; 0: it is not. */
  lockedMs(address: string): number {
    const lockedUntilMs = this.#failures.get(address)?.lockedUntilMs ?? 0;
    return Math.max(0, lockedUntilMs - this.#clock.monotonicMs());
  }

  /** A password from this address was wrong: for how long it is locked out now, ms. */
  failed(address: string): number {
    const nowMs = this.#clock.monotonicMs();
    const before = this.#failures.get(address);
    const isRecent = before !== undefined && nowMs - before.lastMs < FAILURES_KEPT_MS;
    const count = isRecent ? before.count + 1 : 1;
    const lockoutMs = lockoutOf(count);
    this.#failures.delete(address);
    this.#failures.set(address, { count, lastMs: nowMs, lockedUntilMs: nowMs + lockoutMs });
    if (this.#failures.size > this.#addressesMax) {
      const [oldest] = this.#failures.keys();
      if (oldest !== undefined) this.#failures.delete(oldest);
    }
    return lockoutMs;
  }
}

/** How long so many wrong passwords in a row lock out. */
function lockoutOf(failures: number): number {
  if (failures <= FREE_FAILURES) return 0;
  return Math.min(LOCKOUT_MS_MAX, LOCKOUT_MS_FIRST * 2 ** (failures - FREE_FAILURES - 1));
}

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;
const GROUPS = 8;

/**
 * What counts as one address, of a socket's "host:port": an IPv4 address, or the /64 of an IPv6 one,
 * which one customer has to himself. Null: no address, as of a handle in this process.
 */
export function addressOf(remote: string): string | null {
  const [host = ""] = remote.slice(0, Math.max(0, remote.lastIndexOf(":"))).split("%");
  const address = MAPPED.exec(host)?.[1] ?? host;
  switch (isIP(address)) {
    case 4:
      return address;
    case 6:
      return `${firstGroups(address).join(":")}::/64`;
    default:
      return null;
  }
}

/** The first four groups of an IPv6 address as the system writes it. */
function firstGroups(address: string): string[] {
  const [head = "", tail] = address.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Math.max(0, GROUPS - left.length - right.length);
  return [...left, ...new Array<string>(zeros).fill("0"), ...right].slice(0, GROUPS / 2);
}
