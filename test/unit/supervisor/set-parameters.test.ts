/** What CONFIG SET has changed: in the order in which a worker is to set it again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SetParameters } from "../../../actors/supervisor/set-parameters.ts";

test("each name has its last value, and what was set last comes last", () => {
  const set = new SetParameters();
  set.note([
    ["hash-max-ziplist-entries", "1"],
    ["hash-max-listpack-entries", "2"],
  ]);
  // Another name of the same parameter: this one counts.
  set.note([["hash-max-ziplist-entries", "3"]]);
  assert.deepEqual(set.values, [
    ["hash-max-listpack-entries", "2"],
    ["hash-max-ziplist-entries", "3"],
  ]);
});
