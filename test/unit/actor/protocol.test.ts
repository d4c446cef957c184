/** Protocols: checks of what comes from another thread, and wire ids. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  ask,
  bytes,
  flag,
  integer,
  list,
  literal,
  local,
  nothing,
  optional,
  protocol,
  record,
  tell,
  text,
  u8,
  u16,
  u32,
} from "../../../runtime/actor/protocol.ts";

const replica = protocol("replica", {
  apply: ask(
    1,
    record({ ops: bytes, epoch: u32, token: optional(text), tags: list(u8, 3) }),
    record({ applied: list(integer, 100) }),
  ),
  topologyChanged: tell(2, record({ epoch: u32 }), { lane: "control" }),
  paused: tell(3, flag),
  mode: tell(4, literal("eventual", "strong")),
  callback: tell(5, local<() => void>()),
  ended: tell(6, nothing),
  counted: tell(7, u16),
});

const good = { ops: Buffer.from("x"), epoch: 1, tags: [1, 2] };

test("a message that fits its declaration is let through by name", () => {
  assert.equal(replica.check(1, good).kind, "message");
  assert.equal(replica.check(1, { ...good, token: "t", extra: 1 }).kind, "message");
  const checked = replica.check(2, { epoch: 7 });
  assert.equal(checked.kind === "message" && checked.name, "topologyChanged");
  assert.equal(checked.kind === "message" && checked.declaration.lane, "control");
  assert.equal(replica.check(4, "strong").kind, "message");
  assert.equal(replica.check(6, undefined).kind, "message");
});

test("a refusal names the message, the field and what was expected", () => {
  const why = (wireId: number, body: unknown) => {
    const checked = replica.check(wireId, body);
    return checked.kind === "refused" ? checked.why : "let through";
  };
  assert.equal(why(9, {}), "replica has no message 9");
  assert.equal(why(1, { ...good, epoch: -1 }), "replica.apply: epoch: u32 expected");
  assert.equal(why(1, { ...good, epoch: 2 ** 32 }), "replica.apply: epoch: u32 expected");
  assert.equal(why(1, { ...good, ops: "x" }), "replica.apply: ops: bytes expected");
  assert.equal(why(1, { ...good, tags: [1, 256] }), "replica.apply: tags: [1]: u8 expected");
  assert.equal(
    why(1, { ...good, tags: [1, 2, 3, 4] }),
    "replica.apply: tags: at most 3 items expected",
  );
  assert.equal(why(1, null), "replica.apply: record expected");
  assert.equal(why(4, "both"), "replica.mode: one of eventual, strong expected");
  assert.equal(why(7, 1.5), "replica.counted: u16 expected");
});

test("a field is never read from a prototype", () => {
  const body = Object.create({ epoch: 1 });
  assert.equal(replica.check(2, body).kind, "refused");
});

test("a message within a thread is refused from outside, whatever it holds", () => {
  assert.equal(replica.check(5, () => undefined).kind, "refused");
  assert.equal(replica.check(5, undefined).kind, "refused");
});

test("any value from outside is judged without a throw", () => {
  fc.assert(
    fc.property(fc.nat(8), fc.anything({ withNullPrototype: true, withBigInt: true }), (id, body) =>
      ["message", "refused"].includes(replica.check(id, body).kind),
    ),
  );
});

test("a wire id names one message", () => {
  assert.throws(
    () => protocol("twice", { a: tell(1, text), b: tell(1, text) }),
    /names one message/,
  );
  assert.throws(() => protocol("zero", { a: tell(0, text) }), /1 to 255/);
  assert.throws(() => protocol("large", { a: tell(256, text) }), /1 to 255/);
});
