/**
 * Ops as bytes: what is written reads back, and a reader stays inside an op whatever its bytes say.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { OpWriter, UNTIL_NEVER } from "../../../runtime/causality/op.ts";
import { OpReader } from "../../../runtime/causality/op-reader.ts";
import type { NeutralCell, NeutralMutation, NeutralOp } from "../../model/harness.ts";
import { canonicalText } from "../../model/harness.ts";
import { exportOp, importOp } from "../../model/neutral-op.ts";

const origin = fc.stringMatching(/^[0-9a-f]{16}$/);
const counter = fc.integer({ min: 1, max: 2 ** 48 - 1 });
const dot = fc.tuple(origin, counter).map(([id, number]) => `${id}@${number}`);
const bytes = fc
  .uint8Array({ maxLength: 300 })
  .map((array) => Buffer.from(array).toString("latin1"));
const time = fc.integer({ min: 1, max: 2 ** 43 });
const key = fc.oneof(fc.constantFrom("a", "b"), bytes);

const head = key.map((name): NeutralCell => ({ key: name, type: "head", element: "" }));
const element = fc
  .record({ key, type: fc.constantFrom("list", "set", "hash"), element: bytes })
  .map((cell): NeutralCell => cell as NeutralCell);
const cell = fc.oneof(head, element);
const amount = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((delta) => ["int", `${delta}`]),
  fc.double({ noNaN: true }).map((delta) => ["float", Object.is(delta, -0) ? "-0" : `${delta}`]),
);
const covers = fc.option(fc.array(dot, { maxLength: 3 }), { nil: undefined });

const setHead = fc
  .record({
    cell: head,
    type: fc.constantFrom("string", "list", "set", "hash"),
    value: bytes,
    counter: fc.constantFrom(undefined, "int", "float"),
    until: fc.oneof(fc.constantFrom(undefined, null), time),
    covers,
  })
  .map((set) => ({ kind: "set", ...set }));
const setElement = fc
  .record({ cell: element, value: bytes, copy: fc.option(time, { nil: undefined }), covers })
  .map((set) => ({ kind: "set", type: set.cell.type, ...set }));
const mutation = fc
  .oneof(
    setHead,
    setElement,
    key.map((name) => ({ kind: "clear", key: name })),
    fc.record({ cell, covers }).map((remove) => ({ kind: "remove", ...remove })),
    fc
      .tuple(cell, dot, amount)
      .map(([at, to, [number, delta]]) => ({ kind: "add", cell: at, dot: to, number, delta })),
    fc
      .tuple(head, fc.array(dot, { maxLength: 3 }), fc.option(time))
      .map(([at, dots, until]) => ({ kind: "expire", cell: at, dots, at: until })),
    fc.tuple(cell, dot, dot, amount).map(([at, of, undone, [number, delta]]) => {
      return { kind: "undo", cell: at, dot: of, undone, number, delta };
    }),
  )
  .map((any) => any as unknown as NeutralMutation);

const op = fc
  .record({
    origin,
    counter,
    hlc: fc.integer({ min: 0, max: 2 ** 52 }),
    past: fc.dictionary(origin, counter, { maxKeys: 4 }),
    mutations: fc.array(mutation, { maxLength: 6 }),
    id: fc.option(fc.tuple(origin, counter, bytes), { nil: undefined }),
  })
  .map(({ id, ...rest }): NeutralOp => {
    if (id === undefined) return rest;
    const [session, sequence, reply] = id;
    return { ...rest, opId: `${session}:${sequence}`, reply };
  });

test("an op reads back as it was written", () => {
  fc.assert(
    fc.property(op, (written) => {
      assert.equal(canonicalText(exportOp(importOp(written))), canonicalText(written));
    }),
    { numRuns: 500 },
  );
});

test("a reader never looks beyond an op's end", () => {
  fc.assert(
    fc.property(op, fc.nat(), (written, cut) => {
      const whole = importOp(written).bytes;
      const end = cut % whole.length;
      // Two continuations of the same part must read alike.
      const zeros = Buffer.concat([whole.subarray(0, end), Buffer.alloc(400)]);
      const ones = Buffer.concat([whole.subarray(0, end), Buffer.alloc(400, 0xff)]);
      assert.equal(readAll(zeros, end), readAll(ones, end));
    }),
    { numRuns: 300 },
  );
});

test("random bytes are read to an end, and never past it", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (array, isOp) => {
      const source = Buffer.from(array);
      if (isOp && source.length > 0) source[0] = 1;
      const reader = new OpReader();
      if (!reader.open(source, 0, source.length)) return;
      let mutations = 0;
      while (reader.next()) {
        mutations++;
        for (const at of [reader.keyEnd, reader.valueEnd, reader.nameEnd]) {
          assert.ok(at <= source.length);
        }
      }
      assert.ok(mutations <= source.length);
    }),
    { numRuns: 1000 },
  );
});

test("an op with an id and an empty past keeps both", () => {
  const writer = new OpWriter(64);
  writer.begin(1, 2, 3, 4);
  writer.beginPast(0, true);
  const name = Buffer.from("key");
  writer.setHead(name, 0, 3, 1, 0, name, 0, 3, UNTIL_NEVER);
  writer.opId(5, 6, 7, Buffer.from("reply"));
  const reader = new OpReader();

  assert.ok(reader.open(writer.buffer, 0, writer.length));
  assert.deepEqual([reader.idHigh, reader.idLow, reader.idSequence], [5, 6, 7]);
  assert.ok(reader.next());
  assert.equal(reader.at, UNTIL_NEVER);
  assert.ok(!reader.next());
  assert.ok(!reader.isBroken);
});

/** What a reader makes of [0, end), as text. */
function readAll(source: Buffer, end: number): string {
  const reader = new OpReader();
  const seen: string[] = [];
  if (!reader.open(source, 0, end)) return "no op";
  while (reader.next()) {
    const { kind, keyStart, keyEnd, nameStart, nameEnd, valueStart, valueEnd, at } = reader;
    for (const last of [keyEnd, nameEnd, valueEnd]) assert.ok(last <= end);
    seen.push([kind, keyStart, keyEnd, nameStart, nameEnd, valueStart, valueEnd, at].join());
  }
  return `${seen.join(";")} ${reader.isBroken}`;
}
