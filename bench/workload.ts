/**
 * Which commands a load sends: templates whose number is filled in place, and how that number is
 * drawn: in sequence, uniform, or zipf.
 *
 * Invariant: writing a command allocates nothing; one seed, one sequence of commands.
 */
import { below, type Random } from "../runtime/base/prng.ts";
import { encode } from "./control-client.ts";

const ZERO = 48;
const HASH = 35; // #

/** Writes commands one after the other. */
export interface Workload {
  /** No command is longer. */
  readonly bytesMax: number;
  /** Writes the next command at `at`; returns its end. */
  write(buffer: Buffer, at: number): number;
}

/** Draws numbers. */
export type Draw = () => number;

/** A command with at most one run of `#`, which becomes a number of that many digits. */
export class CommandTemplate {
  /** The command's own word. */
  readonly name: string;
  readonly bytes: Buffer;
  readonly #from: number;
  readonly #digits: number;

  constructor(...words: readonly string[]) {
    this.name = words[0] ?? "";
    this.bytes = encode(words);
    const found = /#+/.exec(this.bytes.toString("latin1"));
    this.#from = found?.index ?? 0;
    this.#digits = found?.[0].length ?? 0;
    if (this.bytes.indexOf(HASH, this.#from + this.#digits) >= 0) {
      throw new Error(`${words.join(" ")}: one number a command`);
    }
  }

  /** Writes the command with this number, zeros in front. Returns its end. */
  write(buffer: Buffer, at: number, number: number): number {
    this.bytes.copy(buffer, at);
    const from = at + this.#from;
    let rest = number;
    for (let i = from + this.#digits - 1; i >= from; i--) {
      const next = Math.floor(rest / 10);
      buffer[i] = ZERO + rest - next * 10;
      rest = next;
    }
    return at + this.bytes.length;
  }
}

/** One command with numbers drawn for it. */
export function repeated(template: CommandTemplate, draw: Draw): Workload {
  return {
    bytesMax: template.bytes.length,
    write: (buffer, at) => template.write(buffer, at, draw()),
  };
}

/** `first` with this share (0 … 1), else `second`, both over the same numbers. */
export function mixed(
  share: number,
  first: CommandTemplate,
  second: CommandTemplate,
  draw: Draw,
  random: Random,
): Workload {
  const limit = share * 4_294_967_296;
  return {
    bytesMax: Math.max(first.bytes.length, second.bytes.length),
    write: (buffer, at) => (random.u32() < limit ? first : second).write(buffer, at, draw()),
  };
}

/** `first`, then `second` with the same number, and so on. */
export function alternating(first: CommandTemplate, second: CommandTemplate, draw: Draw): Workload {
  let number = -1;
  return {
    bytesMax: Math.max(first.bytes.length, second.bytes.length),
    write(buffer, at) {
      if (number < 0) {
        number = draw();
        return first.write(buffer, at, number);
      }
      const end = second.write(buffer, at, number);
      number = -1;
      return end;
    },
  };
}

/** `start`, `start + 1` … and again from `start` after `count` of them. */
export function inSequence(count: number, start = 0): Draw {
  let next = start;
  return () => {
    const value = next++;
    if (next >= start + count) next = start;
    return value;
  };
}

/** Each of `start` … `start + count - 1` as likely. */
export function uniform(count: number, random: Random, start = 0): Draw {
  return () => start + below(random, count);
}

/**
 * Zipf over `count` numbers: the n-th most frequent is as likely as 1 / n^theta. Gray et al.,
 * "Quickly generating billion-record synthetic databases" (1994), as YCSB does it; the frequent ones
 * are spread over the range, since real hot keys are not neighbours.
 */
export function zipf(count: number, random: Random, theta = 0.99): Draw {
  if (theta <= 0 || theta >= 1) throw new Error("theta lies between 0 and 1");
  let zeta = 0;
  for (let n = 1; n <= count; n++) zeta += 1 / n ** theta;
  const alpha = 1 / (1 - theta);
  const half = 0.5 ** theta;
  const eta = (1 - (2 / count) ** (1 - theta)) / (1 - (1 + half) / zeta);
  const step = spread(count);
  return () => {
    const share = random.u32() / 4_294_967_296;
    const scaled = share * zeta;
    let rank = Math.floor(count * (eta * share - eta + 1) ** alpha);
    if (scaled < 1) rank = 0;
    else if (scaled < 1 + half) rank = 1;
    return (Math.min(rank, count - 1) * step) % count;
  };
}

/** A factor without common divisor with `count`: multiplying by it permutes 0 … count - 1. */
function spread(count: number): number {
  let factor = Math.max(1, Math.floor(count * 0.618));
  while (commonDivisor(factor, count) !== 1) factor++;
  return factor;
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}

/** The keys of redis-benchmark: `key:` and 12 digits, 16 bytes. */
export const KEY = "key:############";

/** A value of this many bytes; letters, so that `#` stays free. */
export function textOf(bytes: number): string {
  return "abcdefghijklmnopqrstuvwxyz".repeat(Math.ceil(bytes / 26)).slice(0, bytes);
}
