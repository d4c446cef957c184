/**
 * Commands of two words: found by both, refused with Redis's texts, and HELP made from them.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandTable } from "../../../actors/command-table.ts";
import { FakeNode } from "../../support/fake-worker.ts";

test("an unknown subcommand, and one without its arguments, are named in the error", () => {
  const client = new FakeNode().connect();
  const wrong = (name: string) => ({
    error: `ERR wrong number of arguments for '${name}' command`,
  });
  assert.deepEqual(client.read("CLIENT FOO"), {
    error: "ERR unknown subcommand 'FOO'. Try CLIENT HELP.",
  });
  assert.deepEqual(client.read("COMMAND foo a b"), {
    error: "ERR unknown subcommand 'foo'. Try COMMAND HELP.",
  });
  assert.deepEqual(client.read("CLIENT"), wrong("client"));
  assert.deepEqual(client.read("CLIENT SETNAME"), wrong("client|setname"));
  assert.deepEqual(client.read("CLIENT ID x"), wrong("client|id"));
});

test("an unknown subcommand's name is cut short and cannot end the reply's line", () => {
  const client = new FakeNode().connect();
  const reply = client.read("CLIENT", `${"x".repeat(200)}\r\n+OK`) as { error: string };
  assert.equal(reply.error, `ERR unknown subcommand '${"x".repeat(128)}'. Try CLIENT HELP.`);
  const split = client.read("CLIENT", "a\r\n+OK") as { error: string };
  assert.equal(split.error, "ERR unknown subcommand 'a  +OK'. Try CLIENT HELP.");
});

test("names of Object.prototype are no commands and no subcommands", () => {
  const client = new FakeNode().connect();
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    assert.match((client.read("CLIENT", name) as { error: string }).error, /^ERR unknown subc/);
    assert.match((client.read(name) as { error: string }).error, /^ERR unknown command/);
    assert.deepEqual(client.read("CONFIG", "GET", name), []);
    assert.deepEqual(client.read("COMMAND", "INFO", name), [null]);
  }
});

test("every container has a HELP with each of its subcommands", () => {
  const client = new FakeNode().connect();
  const containers = new CommandTable().entries.filter(({ subcommands }) => subcommands.length > 0);
  assert.ok(containers.length > 8);
  for (const { fullName, subcommands } of containers) {
    const lines = client.read(fullName, "HELP") as string[];
    assert.match(lines[0] ?? "", new RegExp(`^${fullName.toUpperCase()} <subcommand>`));
    for (const { fullName: full } of subcommands) {
      const word = full.slice(fullName.length + 1).toUpperCase();
      assert.ok(
        lines.some((line) => line.split(" ")[0] === word),
        `${full} is in HELP`,
      );
    }
  }
});

test("a subcommand's declaration carries its container's name", () => {
  for (const { fullName, subcommands } of new CommandTable().entries) {
    for (const subcommand of subcommands) {
      assert.ok(subcommand.fullName.startsWith(`${fullName}|`), subcommand.fullName);
    }
  }
});
