/** What COMMAND says of keys and tips, by a real redis-server. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeNode } from "../support/fake-worker.ts";
import { redisServerMissing, startRedisServer } from "../support/redis-server.ts";
import { type Plain, plain } from "../support/resp.ts";

const skip = redisServerMissing() ?? false;

/** Where COMMAND INFO has them. */
const KEYS = [3, 4, 5];
const TIPS = 7;
const KEY_SPECS = 8;
const SUBCOMMANDS = 9;

/** Of each command, subcommands included, by full name. */
function hintsOf(infos: Plain): ReadonlyMap<string, Plain> {
  const found = new Map<string, Plain>();
  for (const info of infos as Plain[][]) {
    const keys = KEYS.map((field) => info[field] as Plain);
    const specs = (info[KEY_SPECS] as Plain[][]).map(withoutNotes);
    found.set(String(info[0]), [keys, info[TIPS] as Plain, specs]);
    for (const [name, hints] of hintsOf(info[SUBCOMMANDS] as Plain)) found.set(name, hints);
  }
  return found;
}

/** Some of Redis's key specs begin with a sentence. */
function withoutNotes(spec: readonly Plain[]): readonly Plain[] {
  return spec[0] === "notes" ? spec.slice(2) : spec;
}

test("COMMAND says of keys and tips what Redis says", { skip }, async () => {
  const server = await startRedisServer();
  try {
    const theirs = hintsOf(plain(await server.run("COMMAND")));
    const ours = hintsOf(new FakeNode().connect().read("COMMAND"));
    const shared = [...ours.keys()].filter((name) => theirs.has(name));
    assert.ok(shared.length > 200, `${shared.length} commands`);
    for (const name of shared) assert.deepEqual(ours.get(name), theirs.get(name), name);
  } finally {
    await server.stop();
  }
});
