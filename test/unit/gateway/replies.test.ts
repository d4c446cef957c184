/** Encoded replies: where one ends, and how those of parts become one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { arrayOf, encodeError, endOfReply, mergeReplies } from "../../../actors/gateway/replies.ts";

/** Whole replies of every type, nested ones with them. */
const REPLIES = [
  "+OK\r\n",
  "-ERR x\r\n",
  ":-12\r\n",
  "$-1\r\n",
  "$0\r\n\r\n",
  "$5\r\na\r\nb\n\r\n",
  "*-1\r\n",
  "*0\r\n",
  "*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
  "_\r\n",
  ",1.5\r\n",
  "#t\r\n",
  "(123\r\n",
  "=5\r\ntxt:a\r\n",
  "~1\r\n$1\r\nx\r\n",
  ">1\r\n+x\r\n",
  "%1\r\n$1\r\nk\r\n*1\r\n:2\r\n",
];

test("the end of a reply of any type is found", () => {
  const all = Buffer.from(REPLIES.join(""));
  let at = 0;
  for (const reply of REPLIES) {
    const end = endOfReply(all, at);
    assert.equal(all.toString("latin1", at, end), reply);
    at = end;
  }
  assert.equal(at, all.length);
});

const part = (reply: string, ...keys: number[]) => ({ reply: Buffer.from(reply), keys });

test("counts of parts are summed", () => {
  const merged = mergeReplies("sum", [part(":2\r\n", 0, 2), part(":0\r\n", 1)], 3);
  assert.equal(merged.toString(), ":2\r\n");
});

test("values of parts stand where their keys stood", () => {
  const parts = [part("*2\r\n$1\r\na\r\n$-1\r\n", 2, 0), part("*1\r\n$3\r\nb\r\n\r\n", 1)];
  const merged = mergeReplies("array", parts, 3);
  assert.equal(merged.toString(), "*3\r\n$-1\r\n$3\r\nb\r\n\r\n$1\r\na\r\n");
});

test("one part's error is the reply", () => {
  for (const split of ["sum", "array", "ok"] as const) {
    const merged = mergeReplies(split, [part(":1\r\n", 0), part("-OOM x\r\n", 1)], 2);
    assert.equal(merged.toString(), "-OOM x\r\n");
  }
});

test("an array of replies and an error reply are encoded", () => {
  assert.equal(
    arrayOf([Buffer.from(":1\r\n"), Buffer.from("_\r\n")]).toString(),
    "*2\r\n:1\r\n_\r\n",
  );
  assert.equal(encodeError("ERR a\r\nb").toString(), "-ERR a  b\r\n");
});
