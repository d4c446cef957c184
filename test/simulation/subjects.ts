/**
 * What the clients of a simulated node do with keys on several workers, and what must then be true of
 * all of them at once whenever a transaction looks: groups that are written together, counters that
 * count together, elements that move from list to list.
 */
import assert from "node:assert/strict";
import { below, type Random } from "../../runtime/base/prng.ts";
import { type Plain, plain, type Reply } from "../support/resp.ts";

export type Commands = readonly (readonly string[])[];

/** A write that was sent; `acked` once the client knows that it is done. */
export interface Sent {
  readonly commands: Commands;
  acked(): void;
}

/** A look that was sent, and who judges what it sees. */
export interface Look {
  readonly commands: Commands;
  judge(seen: readonly Plain[]): void;
}

export interface Subject {
  write(random: Random): Sent;
  look(): Look;
}

/** Whether a write was acknowledged: by its last reply, or by EXEC's results, none an error. */
export function isDone(reply: Reply | undefined): boolean {
  if (reply === undefined) return false;
  const results = reply.kind === "array" ? reply.items : [reply];
  return results.every(({ kind }) => ["simple", "integer", "bulk", "null"].includes(kind));
}

function transaction(commands: Commands): Commands {
  return [["MULTI"], ...commands, ["EXEC"]];
}

interface Write {
  readonly sentAt: number;
  /** Infinity: not acknowledged, and so perhaps done later. */
  ackedAt: number;
}

/** Keys that are only written together: all show the same write, and none that was replaced. */
export class Group implements Subject {
  readonly #keys: readonly string[];
  readonly #writes = new Map<string, Write>();
  #now = 0;
  /** The latest time at which a write began that is known to be done. */
  #floor = 0;

  constructor(keys: readonly string[]) {
    this.#keys = keys;
  }

  write(random: Random): Sent {
    const tag = `t${this.#writes.size}`;
    const write = { sentAt: ++this.#now, ackedAt: Number.POSITIVE_INFINITY };
    this.#writes.set(tag, write);
    const sets = this.#keys.map((key) => ["SET", key, tag]);
    const mset = [["MSET", ...sets.flatMap(([, ...pair]) => pair)]];
    return {
      commands: below(random, 3) === 0 ? mset : transaction(sets),
      acked: () => {
        write.ackedAt = ++this.#now;
        this.#floor = Math.max(this.#floor, write.sentAt);
      },
    };
  }

  look(): Look {
    const floor = this.#floor;
    const commands = transaction(this.#keys.map((key) => ["GET", key]));
    return { commands, judge: (seen) => this.#judge(seen, floor) };
  }

  #judge(seen: readonly Plain[], floor: number): void {
    const [tag] = seen;
    const shown = `${this.#keys} show ${seen}`;
    assert.ok(
      seen.every((value) => value === tag),
      `a group is whole: ${shown}`,
    );
    if (tag === null) {
      assert.equal(floor, 0, `what was acknowledged is there: ${shown}`);
      return;
    }
    const write = this.#writes.get(String(tag));
    assert.ok(write !== undefined, `nobody wrote that: ${shown}`);
    assert.ok(write.ackedAt >= floor, `what was replaced does not come back: ${shown}`);
    // It is done, whether its client has heard or not.
    this.#floor = Math.max(this.#floor, write.sentAt);
  }
}

/** Counters that only count together: all show the same, every INCR that is known to be done once. */
export class Counters implements Subject {
  readonly #keys: readonly string[];
  #sent = 0;
  #acked = 0;

  constructor(keys: readonly string[]) {
    this.#keys = keys;
  }

  write(): Sent {
    this.#sent++;
    const commands = transaction(this.#keys.map((key) => ["INCR", key]));
    return {
      commands,
      acked: () => {
        this.#acked++;
      },
    };
  }

  look(): Look {
    const acked = this.#acked;
    const judge = (seen: readonly Plain[]) => {
      const counts = seen.map(Number);
      const shown = `${this.#keys} show ${counts}; ${acked} are done, ${this.#sent} were sent`;
      assert.equal(new Set(counts).size, 1, `counters are equal: ${shown}`);
      const [count] = counts as [number];
      assert.ok(count >= acked && count <= this.#sent, `each counts once: ${shown}`);
    };
    return { commands: transaction(this.#keys.map((key) => ["GET", key])), judge };
  }
}

/** Lists whose elements move: none is lost on the way, and none is in two places. */
export class Lists implements Subject {
  readonly #keys: readonly string[];
  readonly #marks: readonly string[];
  readonly #isSynced: boolean;
  readonly #acked = new Set<string>();
  #pushed = 0;

  /** `isSynced`: what one worker has acknowledged outlasts a power loss. */
  constructor(keys: readonly string[], isSynced: boolean) {
    this.#keys = keys;
    this.#marks = keys.map((key) => `mark:${key}`);
    this.#isSynced = isSynced;
  }

  write(random: Random): Sent {
    const key = () => this.#keys[below(random, this.#keys.length)] as string;
    const end = () => (below(random, 2) === 0 ? "LEFT" : "RIGHT");
    const move = () => ["LMOVE", key(), key(), end(), end()];
    const choice = below(random, 4);
    if (choice === 0) return { commands: transaction([move(), move()]), acked() {} };
    if (choice < 3) return { commands: [move()], acked() {} };
    const element = `e${this.#pushed++}`;
    const push = ["RPUSH", key(), element];
    const isAlone = below(random, 2) === 0;
    // What several workers do together always outlasts a power loss.
    const marks = this.#marks.map((mark) => ["SET", mark, element]);
    return {
      commands: isAlone ? [push] : transaction([push, ...marks]),
      acked: () => {
        if (this.#isSynced || !isAlone) this.#acked.add(element);
      },
    };
  }

  look(): Look {
    const acked = [...this.#acked];
    const judge = (seen: readonly Plain[]) => {
      const elements = (seen as readonly (readonly Plain[])[]).flat().map(String);
      const there = new Set(elements);
      const shown = `${this.#keys} hold ${elements}`;
      assert.equal(there.size, elements.length, `an element is in one place: ${shown}`);
      const lost = acked.filter((element) => !there.has(element));
      assert.deepEqual(lost, [], `no element is lost: ${shown}`);
    };
    return {
      commands: transaction(this.#keys.map((key) => ["LRANGE", key, "0", "-1"])),
      judge,
    };
  }
}

/** What EXEC has shown; undefined: it was refused, or did not answer. */
export function seenBy(
  commands: Commands,
  replies: readonly Reply[],
): readonly Plain[] | undefined {
  const last = replies.at(-1);
  if (replies.length < commands.length || last?.kind !== "array") return undefined;
  return last.items.map(plain);
}
