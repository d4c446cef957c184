/**
 * Compares commands on TestPartitions with the same ones on a real redis-server.
 *
 * Invariant: replies are equal in kind and bytes, or a named difference says why they need not be.
 */
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import type { RedisServer } from "./redis-server.ts";
import { plain, type Reply } from "./resp.ts";
import type { TestPartitions } from "./test-partitions.ts";

export type CommandLine = readonly (string | Buffer)[];

/** A way in which we mean to differ from the redis-server at hand. */
export interface Difference {
  readonly name: string;
  /** Where it is said that this is right: an issue, a release note, a design decision. */
  readonly source: string;
  /** Whether these unequal replies are that difference. */
  applies(args: CommandLine, ours: Reply, theirs: Reply): boolean;
}

/** Runs the commands on both. After a tolerated difference, `resync` makes both sides equal. */
export async function assertSameReplies(
  server: RedisServer,
  partitions: TestPartitions,
  commands: readonly CommandLine[],
  options: {
    readonly differences?: readonly Difference[];
    readonly resync?: (args: CommandLine, theirs: Reply) => CommandLine | undefined;
    readonly describe?: string;
  } = {},
): Promise<Set<string>> {
  const met = new Set<string>();
  for (const [i, args] of commands.entries()) {
    const theirs = await server.run(...args);
    const ours = partitions.run(...args);
    if (isSame(args, ours, theirs)) continue;
    const difference = options.differences?.find((known) => known.applies(args, ours, theirs));
    if (difference === undefined) {
      const history = commands
        .slice(Math.max(0, i - 12), i + 1)
        .map(shown)
        .join("\n");
      assert.deepEqual(ours, theirs, `${options.describe ?? ""}\n${history}`);
      return met;
    }
    met.add(difference.name);
    const fix = options.resync?.(args, theirs);
    if (fix === undefined) continue;
    await server.run(...fix);
    partitions.run(...fix);
  }
  return met;
}

/** Commands whose replies have no order, in arrays too. */
const UNORDERED = new Set([
  "SMEMBERS",
  "HGETALL",
  "HKEYS",
  "HVALS",
  "SINTER",
  "SUNION",
  "SDIFF",
  "KEYS",
]); // prettier-ignore

/** Whether two replies are equal, apart from an order that nobody promised. */
function isSame(args: CommandLine, ours: Reply, theirs: Reply): boolean {
  const isUnordered = UNORDERED.has(String(args[0]).toUpperCase());
  return isDeepStrictEqual(comparable(ours, isUnordered), comparable(theirs, isUnordered));
}

function comparable(reply: Reply, isUnordered: boolean): unknown {
  switch (reply.kind) {
    case "set":
      return { kind: "set", items: sorted(reply.items) };
    case "map":
      return { kind: "map", items: sorted(reply.entries.flat()) };
    case "array":
      return isUnordered ? { kind: "array", items: sorted(reply.items) } : reply;
    default:
      return reply;
  }
}

function sorted(items: readonly Reply[]): string[] {
  return items.map((item) => JSON.stringify(plain(item), integers)).sort();
}

function integers(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

function shown(args: CommandLine): string {
  return args.map((arg) => JSON.stringify(arg.toString("latin1" as never))).join(" ");
}
