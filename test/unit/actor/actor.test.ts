/** What compiles as an actor and what does not: checked by `tsc`, not at run time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ActorRef } from "../../../runtime/actor/actor.ts";
import { actor } from "../../../runtime/actor/actor.ts";
import {
  ask,
  nothing,
  optional,
  protocol,
  record,
  tell,
  u32,
} from "../../../runtime/actor/protocol.ts";
import { testSystem } from "./support.ts";

const counting = protocol("counting", {
  add: ask(1, record({ by: u32, unless: optional(u32) }), u32),
  reset: tell(2, nothing),
  flush: ask(3, nothing, nothing),
});
const start = () => ({ total: 0 });

test("an async handler does not compile", () => {
  actor({
    protocol: counting,
    start,
    on: {
      // @ts-expect-error an ask's handler is synchronous
      add: async (state, { by }) => state.total + by,
      // @ts-expect-error a tell's handler is synchronous
      async reset(state) {
        state.total = 0;
      },
      flush: () => undefined,
    },
  });
  actor({
    protocol: counting,
    start,
    on: {
      add: (state, { by }) => state.total + by,
      reset: () => undefined,
      // @ts-expect-error an ask without a reply is synchronous too
      flush: async () => undefined,
    },
  });
});

test("a handler's state, message and reply are typed by start and protocol", () => {
  actor({
    protocol: counting,
    start,
    on: {
      // @ts-expect-error the reply is a number
      add: () => "1",
      reset(state) {
        // @ts-expect-error the state has no such field
        state.sum = 0;
      },
      flush() {},
    },
  });
  // @ts-expect-error every message has a handler
  actor({ protocol: counting, start, on: { add: () => 1, reset() {} } });
});

test("a ref takes only its protocol's messages, asks as asks and tells as tells", () => {
  const check = (ref: ActorRef<(typeof counting)["messages"]>) => {
    ref.ask("add", { by: 1 }, { timeoutMs: 1 }, () => undefined);
    // @ts-expect-error a tell is not asked
    ref.ask("reset", undefined, { timeoutMs: 1 }, () => undefined);
    // @ts-expect-error an ask is not told
    ref.tell("add", { by: 1 });
    // @ts-expect-error the message has a number
    ref.ask("add", { by: "1" }, { timeoutMs: 1 }, () => undefined);
    // @ts-expect-error every ask has a deadline
    ref.ask("add", { by: 1 }, {}, () => undefined);
  };
  assert.equal(typeof check, "function");
});

test("a handler that got a promise past the compiler kills its actor", () => {
  const { system, settle, reports } = testSystem();
  const sneaky = actor({
    protocol: counting,
    start,
    on: { add: () => Promise.resolve(1) as unknown as number, reset() {}, flush() {} },
  });
  const cell = system.spawn(sneaky, undefined, { name: "sneaky" });
  const codes: string[] = [];
  cell.ref.ask("add", { by: 1 }, { timeoutMs: 10 }, (outcome) => {
    codes.push(outcome.kind === "failed" ? outcome.error.code : "reply");
  });
  settle();
  assert.deepEqual(codes, ["UNKNOWN_OUTCOME"]);
  assert.match(String(reports[0]?.kind === "failed" && reports[0].error), /synchronous/);
});
