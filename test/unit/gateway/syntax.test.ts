/**
 * Redis's syntax notation read into the arguments of COMMAND DOCS.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandTable } from "../../../actors/command-table.ts";
import { parseSyntax } from "../../../actors/gateway/commands/syntax.ts";

const key = { name: "key", type: "key" };

test("words are arguments, with types by their names", () => {
  assert.deepEqual(parseSyntax("key seconds pattern score value"), [
    key,
    { name: "seconds", type: "integer" },
    { name: "pattern", type: "pattern" },
    { name: "score", type: "double" },
    { name: "value", type: "string" },
  ]);
});

test("brackets are optional, bars are choices", () => {
  const nx = { name: "nx", type: "pure-token", token: "NX" };
  const xx = { name: "xx", type: "pure-token", token: "XX" };
  assert.deepEqual(parseSyntax("[NX | XX]"), [
    { name: "nx-or-xx", type: "oneof", arguments: [nx, xx], optional: true },
  ]);
  assert.deepEqual(parseSyntax("<NX | XX> [NX]"), [
    { name: "nx-or-xx", type: "oneof", arguments: [nx, xx] },
    { ...nx, optional: true },
  ]);
});

test("a token takes the words that follow it", () => {
  assert.deepEqual(parseSyntax("[EX seconds] [LIMIT offset count]"), [
    { name: "seconds", type: "integer", token: "EX", optional: true },
    {
      name: "offset_count",
      type: "block",
      token: "LIMIT",
      optional: true,
      arguments: [
        { name: "offset", type: "integer" },
        { name: "count", type: "integer" },
      ],
    },
  ]);
});

test("what is repeated comes several times instead of twice", () => {
  const value = { name: "value", type: "string" };
  assert.deepEqual(parseSyntax("key [key ...]"), [{ ...key, multiple: true }]);
  assert.deepEqual(parseSyntax("key value [key value ...]"), [
    { name: "key_value", type: "block", arguments: [key, value], multiple: true },
  ]);
  assert.deepEqual(parseSyntax("[value [value ...]]"), [
    { ...value, multiple: true, optional: true },
  ]);
});

test("a word in angle brackets is the word", () => {
  assert.deepEqual(parseSyntax("<key> [SAMPLES <count>]"), [
    key,
    { name: "count", type: "integer", token: "SAMPLES", optional: true },
  ]);
});

test("a broken notation is read without failing", () => {
  for (const broken of ["[", "]", "a |", "<a", "...", "[...]", "", "| |"]) parseSyntax(broken);
});

test("every command's syntax names at least its fixed arguments", () => {
  const all = new CommandTable().entries.flatMap((entry) => [entry, ...entry.subcommands]);
  for (const { facts, fullName, subcommands } of all) {
    if (subcommands.length > 0) continue;
    const words = fullName.includes("|") ? 2 : 1;
    if (Math.abs(facts.arity) <= words) continue;
    assert.ok(parseSyntax(facts.syntax ?? "").length > 0, `${fullName} says its arguments`);
  }
});
