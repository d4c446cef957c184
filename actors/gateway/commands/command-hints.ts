/**
 * What Redis 7 says of commands beside what they declare: what becomes of their keys (the flags of
 * COMMAND INFO's key specs), and how a proxy may send them and gather replies (tips). By full name;
 * compared with a real redis-server in test/differential.
 */
import type { CommandFacts } from "../../command-facts.ts";

/** Behind ";": what becomes of the keys after the first. */
const KEY_ACCESS: Readonly<Record<string, string>> = {
  RO: "exists hexists hlen hstrlen llen memory|usage object|encoding object|freq object|idletime object|refcount scard sismember strlen touch type watch zcard",
  "RW insert": "append hsetnx linsert lpush lpushx rpush rpushx sadd",
  "RW update": "expire expireat hmset hset lset persist pexpire pexpireat setrange zadd",
  "RW delete": "hdel lrem ltrim srem zrem",
  "RW access delete": "getdel lmpop lpop rpop spop zpopmin",
  "RW access update variable_flags": "set",
  "RM delete": "del unlink",
  "OW update": "mset psetex setex",
  "OW insert": "msetnx setnx",
  "RO access; OW update": "copy",
  "RW access delete; RW insert": "lmove rpoplpush smove",
  "RW access delete; OW update": "rename",
  "RW access delete; OW insert": "renamenx",
  "OW update; RO access": "sdiffstore sunionstore",
  "RW update; RO access": "sinterstore",
};

const TIPS: Readonly<Record<string, string>> = {
  nondeterministic_output:
    "client|info client|list cluster|bumpepoch cluster|count-failure-reports cluster|getkeysinslot cluster|info cluster|links cluster|nodes cluster|replicas cluster|shards cluster|slaves cluster|slots hrandfield hscan lastsave object|encoding object|freq object|idletime object|refcount pttl spop srandmember sscan time ttl",
  nondeterministic_output_order:
    "command command|docs command|info command|list function|list hgetall hkeys hvals module|list sdiff sinter smembers sunion",
  "nondeterministic_output request_policy:all_shards response_policy:special":
    "function|stats info memory|doctor memory|malloc-stats memory|stats",
  "nondeterministic_output request_policy:special": "scan",
  "request_policy:all_nodes response_policy:all_succeeded": "config|set",
  "request_policy:all_shards nondeterministic_output": "randomkey",
  "request_policy:all_shards nondeterministic_output_order": "keys",
  "request_policy:all_shards response_policy:agg_min": "wait",
  "request_policy:all_shards response_policy:agg_sum": "dbsize",
  "request_policy:all_shards response_policy:all_succeeded":
    "flushall flushdb function|flush memory|purge ping",
  "request_policy:multi_shard": "mget",
  "request_policy:multi_shard response_policy:agg_min": "msetnx",
  "request_policy:multi_shard response_policy:agg_sum": "del exists touch unlink",
  "request_policy:multi_shard response_policy:all_succeeded": "mset",
};

const accessOf = byName(KEY_ACCESS, "; ");
const tipsOf = byName(TIPS, " ");

/** The parts of what each group of names has, by name. */
function byName(
  groups: Readonly<Record<string, string>>,
  separator: string,
): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  for (const [value, names] of Object.entries(groups)) {
    for (const name of names.split(" ")) found.set(name, value.split(separator));
  }
  return found;
}

/** Flags of what a command does to its keys: of all, or of the first and of the others. */
export function keyFlags({ name, flags }: CommandFacts): readonly (readonly string[])[] {
  const usual = flags.includes("write") ? "RW access update" : "RO access";
  return (accessOf.get(name.toLowerCase()) ?? [usual]).map((part) => part.split(" "));
}

export function tips({ name }: CommandFacts): readonly string[] {
  return tipsOf.get(name.toLowerCase()) ?? [];
}
