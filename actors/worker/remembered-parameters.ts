/**
 * Parameters of Redis's that change nothing here: how it packs small collections, frees memory,
 * rewrites files. They are checked as Redis checks them, and remembered until the node stops.
 */

import { memoryBytes, PARAMETER_TEXT_MAX } from "./parameter-values.ts";
import type { Parameter, Parameters } from "./parameters.ts";

/** How a value is checked and kept. */
type Kind =
  | { readonly kind: "switch" }
  | { readonly kind: "integer"; readonly min: number; readonly max: number }
  | { readonly kind: "memory" }
  | { readonly kind: "choice"; readonly values: readonly string[] }
  | { readonly kind: "text"; readonly pattern: RegExp; readonly refusal: string };

const SWITCH: Kind = { kind: "switch" };
const MEMORY: Kind = { kind: "memory" };
const COUNT = integer(0, 2 ** 53 - 1);
const INT = integer(0, 2 ** 31 - 1);
const SIZE = integer(-(2 ** 31), 2 ** 31 - 1);
const PERCENT = integer(0, 100);

function integer(min: number, max: number): Kind {
  return { kind: "integer", min, max };
}

function text(pattern: RegExp, refusal: string): Kind {
  return { kind: "text", pattern, refusal };
}

/** Name, its older name or "", kind, value at the start. */
type Remembered = readonly [name: string, oldName: string, kind: Kind, value: string];

const REMEMBERED: readonly Remembered[] = [
  // How small collections are packed.
  ["hash-max-listpack-entries", "hash-max-ziplist-entries", COUNT, "512"],
  ["hash-max-listpack-value", "hash-max-ziplist-value", COUNT, "64"],
  ["list-max-listpack-size", "list-max-ziplist-size", SIZE, "-2"],
  ["list-compress-depth", "", INT, "0"],
  ["set-max-intset-entries", "", COUNT, "512"],
  ["set-max-listpack-entries", "", COUNT, "128"],
  ["set-max-listpack-value", "", COUNT, "64"],
  ["zset-max-listpack-entries", "zset-max-ziplist-entries", COUNT, "128"],
  ["zset-max-listpack-value", "zset-max-ziplist-value", COUNT, "64"],
  ["hll-sparse-max-bytes", "", COUNT, "3000"],
  ["stream-node-max-bytes", "", MEMORY, "4096"],
  ["stream-node-max-entries", "", COUNT, "100"],
  // How memory is given back and expired keys are looked for.
  ["lazyfree-lazy-eviction", "", SWITCH, "no"],
  ["lazyfree-lazy-expire", "", SWITCH, "no"],
  ["lazyfree-lazy-server-del", "", SWITCH, "no"],
  ["lazyfree-lazy-user-del", "", SWITCH, "no"],
  ["lazyfree-lazy-user-flush", "", SWITCH, "no"],
  ["active-expire-effort", "", integer(1, 10), "1"],
  ["activerehashing", "", SWITCH, "yes"],
  ["activedefrag", "", SWITCH, "no"],
  ["maxmemory-samples", "", integer(1, 64), "5"],
  ["maxmemory-eviction-tenacity", "", PERCENT, "10"],
  [
    "maxmemory-clients",
    "",
    text(/^[0-9]+([kmg]?b?|%)$/i, "argument must be a memory or percent value"),
    "0",
  ],
  ["lfu-log-factor", "", INT, "10"],
  ["lfu-decay-time", "", INT, "1"],
  ["hz", "", integer(0, 2 ** 31 - 1), "10"],
  ["dynamic-hz", "", SWITCH, "yes"],
  // Files: ours are written by our own rules (design 6).
  ["save", "", text(/^ *([0-9]+ +[0-9]+( +[0-9]+ +[0-9]+)*)? *$/, "Invalid save parameters"), ""],
  ["appendonly", "", SWITCH, "yes"],
  ["aof-use-rdb-preamble", "", SWITCH, "yes"],
  ["aof-load-truncated", "", SWITCH, "yes"],
  ["aof-timestamp-enabled", "", SWITCH, "no"],
  ["aof-rewrite-incremental-fsync", "", SWITCH, "yes"],
  ["rdb-save-incremental-fsync", "", SWITCH, "yes"],
  ["auto-aof-rewrite-percentage", "", INT, "100"],
  ["auto-aof-rewrite-min-size", "", MEMORY, "67108864"],
  ["no-appendfsync-on-rewrite", "", SWITCH, "no"],
  ["rdbcompression", "", SWITCH, "yes"],
  ["rdbchecksum", "", SWITCH, "yes"],
  ["stop-writes-on-bgsave-error", "", SWITCH, "yes"],
  ["sanitize-dump-payload", "", { kind: "choice", values: ["no", "yes", "clients"] }, "no"],
  // Logs of commands that come with later versions.
  ["slowlog-log-slower-than", "", integer(-1, 2 ** 53 - 1), "10000"],
  ["slowlog-max-len", "", COUNT, "128"],
  ["latency-monitor-threshold", "", COUNT, "0"],
  ["latency-tracking", "", SWITCH, "yes"],
  [
    "latency-tracking-info-percentiles",
    "",
    text(/^[0-9. ]*$/, "argument(s) must be a percentile"),
    "50 99 99.9",
  ],
  ["acllog-max-len", "", COUNT, "128"],
  [
    "notify-keyspace-events",
    "",
    text(/^[AKEg$lshzxetdmn]*$/, "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."),
    "",
  ],
  // Scripts, tracking, replication, threads.
  ["busy-reply-threshold", "lua-time-limit", COUNT, "5000"],
  ["tracking-table-max-keys", "", COUNT, "1000000"],
  ["repl-backlog-size", "", MEMORY, "1048576"],
  ["repl-timeout", "", INT, "60"],
  ["repl-diskless-sync", "", SWITCH, "yes"],
  ["repl-diskless-sync-delay", "", INT, "5"],
  ["min-replicas-to-write", "min-slaves-to-write", INT, "0"],
  ["min-replicas-max-lag", "min-slaves-max-lag", INT, "10"],
  ["replica-read-only", "slave-read-only", SWITCH, "yes"],
  ["replica-serve-stale-data", "slave-serve-stale-data", SWITCH, "yes"],
  ["replica-priority", "slave-priority", INT, "100"],
  ["cluster-node-timeout", "", COUNT, "15000"],
  ["cluster-allow-reads-when-down", "", SWITCH, "no"],
  ["protected-mode", "", SWITCH, "yes"],
  ["shutdown-timeout", "", INT, "10"],
  ["crash-log-enabled", "", SWITCH, "yes"],
  ["crash-memcheck-enabled", "", SWITCH, "yes"],
  ["disable-thp", "", SWITCH, "yes"],
  ["jemalloc-bg-thread", "", SWITCH, "yes"],
  ["io-threads-do-reads", "", SWITCH, "no"],
];

/** Adds the parameters; a name and its older one share a value. */
export function rememberedParameters(parameters: Parameters): void {
  for (const [name, oldName, kind, value] of REMEMBERED) {
    const parameter = remembered(kind, value);
    parameters.define(name, parameter);
    if (oldName !== "") parameters.define(oldName, parameter);
  }
}

function remembered(kind: Kind, start: string): Parameter {
  let value = start;
  return {
    get: () => value,
    check: (wanted) => refusalOf(kind, wanted),
    set(wanted) {
      value = normal(kind, wanted);
    },
  };
}

/** Why a value is not of its kind, in Redis's words; null: it is. */
function refusalOf(kind: Kind, value: string): string | null {
  switch (kind.kind) {
    case "switch":
      return /^(yes|no)$/i.test(value) ? null : "argument must be 'yes' or 'no'";
    case "integer": {
      if (!/^-?[0-9]{1,16}$/.test(value)) return "argument couldn't be parsed into an integer";
      const { min, max } = kind;
      const number = Number(value);
      if (number >= min && number <= max) return null;
      return `argument must be between ${min} and ${max} inclusive`;
    }
    case "memory":
      return memoryBytes(value) < 0 ? "argument must be a memory value" : null;
    case "choice":
      if (kind.values.includes(value.toLowerCase())) return null;
      return `argument(s) must be one of the following: ${kind.values.join(", ")}`;
    case "text":
      return value.length <= PARAMETER_TEXT_MAX && kind.pattern.test(value) ? null : kind.refusal;
  }
}

/** A checked value as CONFIG GET shows it. */
function normal(kind: Kind, value: string): string {
  switch (kind.kind) {
    case "switch":
    case "choice":
      return value.toLowerCase();
    case "integer":
      return String(Number(value));
    case "memory":
      return String(memoryBytes(value));
    case "text":
      return value.trim().replace(/ +/g, " ");
  }
}
