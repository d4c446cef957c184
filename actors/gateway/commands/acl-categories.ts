/** Redis's ACL categories of a command: what its flags and its group imply, and what it adds. */
import type { CommandFacts, CommandGroup } from "../../command-facts.ts";

/** In Redis's order. */
export const CATEGORIES = [
  "keyspace",
  "read",
  "write",
  "set",
  "sortedset",
  "list",
  "hash",
  "string",
  "bitmap",
  "hyperloglog",
  "geo",
  "stream",
  "pubsub",
  "admin",
  "fast",
  "slow",
  "blocking",
  "dangerous",
  "connection",
  "transaction",
  "scripting",
] as const;

type Category = (typeof CATEGORIES)[number];

const OF_GROUP: { readonly [Group in CommandGroup]?: Category } = {
  generic: "keyspace",
  string: "string",
  list: "list",
  set: "set",
  "sorted-set": "sortedset",
  hash: "hash",
  connection: "connection",
  scripting: "scripting",
  transactions: "transaction",
};

export function isCategory(name: string): boolean {
  return (CATEGORIES as readonly string[]).includes(name);
}

export function inCategory(facts: CommandFacts, category: string): boolean {
  const { flags } = facts;
  const has = (flag: (typeof flags)[number]) => flags.includes(flag);
  if (OF_GROUP[facts.group] === category || facts.categories?.includes(category)) return true;
  switch (category) {
    case "read":
      return has("readonly");
    case "write":
    case "pubsub":
    case "admin":
    case "fast":
    case "blocking":
      return has(category);
    case "dangerous":
      return has("admin");
    case "slow":
      return !has("fast");
    default:
      return false;
  }
}

/** A command's categories in Redis's order, without "@". */
export function categoriesOf(facts: CommandFacts): readonly Category[] {
  return CATEGORIES.filter((category) => inCategory(facts, category));
}
