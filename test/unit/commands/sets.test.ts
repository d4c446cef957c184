/** Commands on sets: replies, replay, expiry, randomness, algebra. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import fc from "fast-check";
import { ROOT } from "../../support/command-line.ts";
import type { Plain } from "../../support/resp.ts";
import { TestPartitions } from "../../support/test-partitions.ts";

const WRONG_TYPE = { error: "WRONGTYPE Operation against a key holding the wrong kind of value" };

function sorted(reply: Plain): Plain[] {
  assert.ok(Array.isArray(reply), JSON.stringify(reply));
  return [...reply].sort();
}

const members = (t: TestPartitions, key: string) => sorted(t.read("SMEMBERS", key));

test("a member is in a set once", () => {
  const t = new TestPartitions();
  assert.equal(t.read("SADD", "s", "a", "b", "a"), 2);
  assert.equal(t.read("SADD", "s", "b", "c"), 1);
  assert.equal(t.read("SCARD", "s"), 3);
  assert.deepEqual(members(t, "s"), ["a", "b", "c"]);
  assert.equal(t.read("SISMEMBER", "s", "a"), 1);
  assert.deepEqual(t.read("SMISMEMBER", "s", "a", "z"), [1, 0]);
  t.assertReplays(["SMEMBERS", "s"], ["SCARD", "s"]);
});

test("a command writes a member once, however often it is named", () => {
  const once = new TestPartitions();
  const thrice = new TestPartitions();
  once.run("SADD", "s", "a");
  thrice.run("SADD", "s", "a", "a", "a");
  assert.equal(thrice.ops[0]?.op.length, once.ops[0]?.op.length);
});

test("adding a member that is there writes it again, to survive a concurrent removal", () => {
  const t = new TestPartitions();
  t.run("SADD", "s", "a");
  assert.equal(t.read("SADD", "s", "a"), 0);
  assert.equal(t.ops.length, 2);
});

test("removing the last member removes the key", () => {
  const t = new TestPartitions();
  t.run("SADD", "s", "a", "b");
  assert.equal(t.read("SREM", "s", "a", "zz", "b", "a"), 2);
  assert.equal(t.read("EXISTS", "s"), 0);
  assert.deepEqual(t.read("SMEMBERS", "s"), []);
  t.assertReplays(["EXISTS", "s"]);
});

test("members are bytes and stay distinct", () => {
  const t = new TestPartitions();
  const names = ["", "\0", "\r\n", "a", "A", "__proto__", "constructor"].map((n) => Buffer.from(n));
  names.push(Buffer.from([0xff]), Buffer.from([0xc3, 0x28]), Buffer.from([0xed, 0xa0, 0x80]));
  names.push(Buffer.from("e\u0301"), Buffer.from("\u00e9"));
  assert.equal(t.read("SADD", "s", ...names), names.length);
  for (const name of names) assert.equal(t.read("SISMEMBER", "s", name), 1);
  assert.equal(t.read("SREM", "s", ...names), names.length);
});

test("a member longer than a key may be is refused, and looked for without harm", () => {
  const t = new TestPartitions();
  const long = Buffer.alloc(65_536, "a");
  const error = { error: "ERR hash fields and members of sets are 65535 bytes at most" };
  assert.deepEqual(t.read("SADD", "s", "ok", long), error);
  assert.equal(t.read("EXISTS", "s"), 0);
  assert.equal(t.read("SADD", "s", long.subarray(1)), 1);
  assert.equal(t.read("SISMEMBER", "s", long), 0);
  assert.equal(t.read("SISMEMBER", "s", long.subarray(1)), 1);
  assert.deepEqual(t.read("HSET", "h", long, "v"), error);
  assert.deepEqual(t.read("ZADD", "z", "1", long), error);
});

test("replies of sets are sets in RESP3", () => {
  const t = new TestPartitions();
  t.protocol = 3;
  t.run("SADD", "s", "a", "b");
  assert.equal(t.run("SMEMBERS", "s").kind, "set");
  assert.equal(t.run("SINTER", "s").kind, "set");
  assert.equal(t.run("SRANDMEMBER", "s", "1").kind, "array");
  assert.equal(t.run("SPOP", "s", "1").kind, "set");
  assert.equal(t.run("SPOP", "no", "1").kind, "set");
  assert.equal(t.run("SPOP", "no").kind, "null");
});

test("SPOP pops every member once, each as likely first", () => {
  const firsts = new Map<string, number>();
  for (let seed = 1; seed <= 300; seed++) {
    const t = new TestPartitions(seed);
    t.run("SADD", "s", "a", "b", "c");
    const first = String(t.read("SPOP", "s"));
    firsts.set(first, (firsts.get(first) ?? 0) + 1);
    const rest = [t.read("SPOP", "s"), t.read("SPOP", "s")];
    assert.deepEqual(sorted([first, ...rest]), ["a", "b", "c"]);
    assert.equal(t.read("EXISTS", "s"), 0);
  }
  for (const count of firsts.values()) assert.ok(count > 60, [...firsts].join(" "));
});

test("SPOP of several pops different members, and replays", () => {
  const t = new TestPartitions();
  t.run("SADD", "s", ..."abcdefgh");
  const popped = sorted(t.read("SPOP", "s", "5"));
  assert.equal(new Set(popped).size, 5);
  assert.deepEqual(sorted([...popped, ...members(t, "s")]), [..."abcdefgh"]);
  t.assertReplays(["SMEMBERS", "s"]);
  assert.equal(sorted(t.read("SPOP", "s", "100")).length, 3);
  assert.equal(t.read("EXISTS", "s"), 0);
});

test("SRANDMEMBER gives different members, or with a negative count any", () => {
  const t = new TestPartitions();
  const names = Array.from({ length: 50 }, (_, i) => `m${i}`);
  t.run("SADD", "s", ...names);
  for (const wanted of [1, 10, 40, 50, 60]) {
    const found = sorted(t.read("SRANDMEMBER", "s", String(wanted)));
    assert.equal(new Set(found).size, Math.min(wanted, 50));
    assert.ok(found.every((name) => names.includes(String(name))));
  }
  const repeated = sorted(t.read("SRANDMEMBER", "s", "-200"));
  assert.equal(repeated.length, 200);
  assert.ok(new Set(repeated).size > 25);
  assert.equal(t.read("SCARD", "s"), 50);
});

test("counts of random members are bounded", () => {
  const t = new TestPartitions();
  t.run("SADD", "s", "a");
  const between = "value must between -9223372036854775807 and 9223372036854775807";
  assert.deepEqual(t.read("SRANDMEMBER", "s", "-9223372036854775808"), {
    error: `ERR value is out of range, ${between}`,
  });
  assert.deepEqual(t.read("SRANDMEMBER", "s", "-9223372036854775807"), {
    error: "ERR value is out of range",
  });
  assert.deepEqual(t.read("SRANDMEMBER", "s", "-1048577"), {
    error: "ERR value is out of range",
  });
  assert.deepEqual(t.read("SPOP", "s", "-1"), {
    error: "ERR value is out of range, must be positive",
  });
});

test("SMOVE moves between sets of any partition, or says that there was nothing", () => {
  const t = new TestPartitions();
  t.run("SADD", "a", "x");
  t.run("SADD", "b", "y");
  assert.equal(t.read("SMOVE", "a", "b", "zz"), 0);
  assert.equal(t.read("SMOVE", "b", "b", "y"), 1);
  assert.equal(t.read("SMOVE", "a", "b", "x"), 1);
  assert.equal(t.read("EXISTS", "a"), 0);
  assert.deepEqual(members(t, "b"), ["x", "y"]);
  t.assertReplays(["SMEMBERS", "b"], ["EXISTS", "a"]);
});

test("every set command refuses another type and changes nothing", () => {
  const t = new TestPartitions();
  t.run("RPUSH", "l", "a");
  t.run("SADD", "s", "a");
  const ops = t.ops.length;
  const commands = [
    ["SADD", "l", "a"],
    ["SREM", "l", "a"],
    ["SMEMBERS", "l"],
    ["SISMEMBER", "l", "a"],
    ["SMISMEMBER", "l", "a"],
    ["SCARD", "l"],
    ["SPOP", "l"],
    ["SRANDMEMBER", "l"],
    ["SMOVE", "s", "l", "a"],
    ["SMOVE", "l", "s", "a"],
    ["SSCAN", "l", "0"],
    ["SINTER", "no", "l"],
    ["SUNION", "s", "l"],
    ["SDIFF", "no", "l"],
    ["SINTERSTORE", "s", "l"],
    ["SINTERCARD", "2", "s", "l"],
  ];
  for (const command of commands) assert.deepEqual(t.read(...command), WRONG_TYPE, command[0]);
  assert.equal(t.ops.length, ops);
});

test("an expired set is absent and is begun anew", () => {
  const t = new TestPartitions();
  t.run("SADD", "s", "old");
  t.run("PEXPIRE", "s", "10");
  t.run("SADD", "s", "older");
  t.clock.advance(10);
  assert.equal(t.read("SISMEMBER", "s", "older"), 0);
  assert.equal(t.read("SADD", "s", "new"), 1);
  assert.deepEqual(members(t, "s"), ["new"]);
  assert.equal(t.read("PTTL", "s"), -1);
  t.assertReplays(["SMEMBERS", "s"]);
});

test("a store replaces what was there, of any type, its expiry included", () => {
  const t = new TestPartitions();
  t.run("SADD", "a", "1", "2", "3");
  t.run("SADD", "b", "2", "3", "4");
  t.run("SET", "to", "text", "PX", "1000");
  assert.equal(t.read("SINTERSTORE", "to", "a", "b"), 2);
  assert.deepEqual(members(t, "to"), ["2", "3"]);
  assert.equal(t.read("PTTL", "to"), -1);
  assert.equal(t.read("SUNIONSTORE", "a", "a", "b"), 4);
  assert.deepEqual(members(t, "a"), ["1", "2", "3", "4"]);
  assert.equal(t.read("SDIFFSTORE", "to", "b", "a"), 0);
  assert.equal(t.read("EXISTS", "to"), 0);
  t.assertReplays(["SMEMBERS", "a"], ["EXISTS", "to"]);
});

test("set algebra is that of JavaScript's sets, in one partition or several", () => {
  const set = fc.uniqueArray(fc.constantFrom(..."abcdefgh"), { maxLength: 8 });
  fc.assert(
    fc.property(fc.array(set, { minLength: 1, maxLength: 4 }), fc.boolean(), (sets, together) => {
      const t = new TestPartitions();
      const keys = sets.map((_, i) => (together ? `{t}${i}` : `k${i}`));
      sets.forEach((names, i) => {
        if (names.length > 0) t.run("SADD", keys[i] as string, ...names);
      });
      const [first = new Set(), ...others] = sets.map((names) => new Set(names));
      const inter = [...others.reduce((a, b) => a.intersection(b), first)].sort();
      const union = [...others.reduce((a, b) => a.union(b), first)].sort();
      const diff = [...others.reduce((a, b) => a.difference(b), first)].sort();
      assert.deepEqual(sorted(t.read("SINTER", ...keys)), inter);
      assert.deepEqual(sorted(t.read("SUNION", ...keys)), union);
      assert.deepEqual(sorted(t.read("SDIFF", ...keys)), diff);
      const count = String(keys.length);
      assert.equal(t.read("SINTERCARD", count, ...keys), inter.length);
      const limited = t.read("SINTERCARD", count, ...keys, "LIMIT", "2");
      assert.equal(limited, Math.min(2, inter.length));
    }),
    { numRuns: 80 },
  );
});

test("SINTERCARD with a LIMIT reads no more of the smallest set than it takes", () => {
  const t = new TestPartitions();
  const names = Array.from({ length: 20_000 }, (_, i) => `m${i}`);
  t.run("SADD", "{t}small", ...names);
  t.run("SADD", "{t}large", ...names, "other");
  let reads = 0;
  for (const { key } of t.vnodes.values()) {
    const loadName = key.elements.loadName.bind(key.elements);
    key.elements.loadName = (ref) => {
      reads++;
      loadName(ref);
    };
  }
  assert.equal(t.read("SINTERCARD", "2", "{t}small", "{t}large", "LIMIT", "10"), 10);
  assert.ok(reads >= 10 && reads < 1000, `${reads} of 20000`);
  // What is common may lie far behind.
  t.run("SREM", "{t}large", ...names.slice(0, -3));
  t.run("SADD", "{t}large", ...names.map((name) => `${name}x`));
  assert.equal(t.read("SINTERCARD", "2", "{t}small", "{t}large", "LIMIT", "10"), 3);
  assert.deepEqual(sorted(t.read("SINTER", "{t}small", "{t}large")), names.slice(-3).sort());
});

test("sets of long members are combined whole, some bytes of them at a time", () => {
  const t = new TestPartitions();
  // More than one piece of the smaller set, by their bytes and not by their number.
  const names = Array.from({ length: 100 }, (_, i) => `${i}`.padEnd(60_000, "."));
  t.run("SADD", "{t}a", ...names);
  t.run("SADD", "{t}b", ...names.slice(1), "other", "and another");
  assert.equal(t.read("SINTERCARD", "2", "{t}a", "{t}b"), 99);
  assert.deepEqual(sorted(t.read("SINTER", "{t}a", "{t}b")), names.slice(1).sort());
});

test("sets of more members than the heap can hold are refused, and no others", () => {
  const script = `
    import { heapBytesMax } from "./runtime/base/machine.ts";
    import { TestPartitions } from "./test/support/test-partitions.ts";
    const db = new TestPartitions();
    const most = Math.floor(heapBytesMax() / 512);
    for (let i = 0; i <= most; ) {
      const members = Array.from({ length: Math.min(1000, most + 1 - i) }, () => String(i++));
      db.run("SADD", "big", ...members);
    }
    db.run("SADD", "small", "1", "x");
    const replies = ["SUNION big", "SDIFF big small", "SINTER big big", "SUNIONSTORE small big"];
    replies.push("SDIFF small big", "SINTER big small", "SCARD small");
    const shown = replies.map((line) => db.read(...line.split(" ")));
    console.log(JSON.stringify(shown.map((reply) => reply?.error?.slice(0, 28) ?? reply)));
  `;
  const args = ["--max-old-space-size=24", "--max-semi-space-size=1", "--input-type=module"];
  const { stdout, stderr } = spawnSync(process.execPath, [...args, "-e", script], { cwd: ROOT });
  const refused = "ERR these sets are too large";
  assert.deepEqual(JSON.parse(stdout.toString() || JSON.stringify(stderr.toString())), [
    refused,
    refused,
    refused,
    refused,
    ["x"],
    ["1"],
    2,
  ]);
});
