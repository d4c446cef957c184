/**
 * The rules of the model that can be broken on purpose; a test shows that scenarios notice each.
 */
export const BREAKS = {
  covered: "a set or remove drops concurrent versions too",
  "own-uncovered": "an op does not cover its own origin's earlier versions",
  "clear-last": "clear comes after the sets of its op",
  adds: "a join sums add entries instead of taking the larger",
  "adds-again": "an op is applied again when it is delivered again",
  uncaused: "an op is applied before its past",
  join: "a join keeps what only one side has, even if the other removed it",
  origin: "a restarted replica keeps its origin id",
  register: "the expiry register that arrives last wins",
  "context-own": "an explicit context covers its own origin's versions as well",
  "context-marks": "an explicit context covers a dot whose adds are newer than those read",
  "context-unapplied": "an explicit context covers dots that its coordinator has not applied",
  "sibling-guard": "a write with a context is never refused",
  "undo-adds": "a double try is taken back by an add, which is not idempotent",
  "undo-missing": "a double try is not taken back",
  "undo-makes": "an INCR that made its version is not taken back",
  "undo-join": "a join keeps one side's undo set",
  "op-ids": "a retry is executed again",
  "own-copy": "an element's own copy of the expiry is ignored",
  "no-copy": "an element written while its key has a TTL carries no copy",
  latest: "a collection's expiry is that of its newest head, not the latest register",
  birth: "any head of the type rules an element's copy, however late it was born",
  "expired-head": "an expired head does not decide the type",
  "hidden-kept": "a write leaves the hidden cells that it saw",
  "head-kept": "removing the last element leaves the head",
  "clear-missing": "a write to an expired key does not clear it first",
  "local-sweep": "a replica removes expired cells by itself, without an op",
  count: "the count includes hidden and dead cells",
  hlc: "the clock is the wall clock and goes back with it",
} as const;

export type Break = keyof typeof BREAKS;
