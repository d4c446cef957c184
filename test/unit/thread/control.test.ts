/** The control plane: calls, errors with their codes, timeouts and a closed other side. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { ManualClock } from "../../../runtime/base/clock.ts";
import { CoterieError } from "../../../runtime/base/errors.ts";
import { exposeControl, wrapControl } from "../../../runtime/thread/control.ts";

const api = {
  add: (a: number, b: number) => a + b,
  later: async (text: string) => text.toUpperCase(),
  full: () => {
    throw new CoterieError("DISK_FULL", "no space left", { detail: { path: "/data" } });
  },
  bug: () => {
    throw new TypeError("x is not a function");
  },
  never: () => new Promise<void>(() => undefined),
  unserializable: () => () => 1,
};

function connected() {
  const clock = new ManualClock();
  const { port1, port2 } = new MessageChannel();
  exposeControl(api, port1);
  const control = wrapControl<typeof api>(port2, { timers: clock, timeoutMs: 100 });
  return { clock, control, port1 };
}

test("a control call answers with its typed result", async () => {
  const { control } = connected();
  assert.equal(await control.call("add", 1, 2), 3);
  const [a, b] = await Promise.all([control.call("later", "a"), control.call("later", "b")]);
  assert.deepEqual([a, b], ["A", "B"]);
  control.close();
});

test("an operating error keeps its code, message and detail across the port", async () => {
  const { control } = connected();
  await assert.rejects(control.call("full"), {
    name: "CoterieError",
    code: "DISK_FULL",
    message: "no space left",
    detail: { path: "/data" },
  });
  control.close();
});

test("a bug in a control function is an unknown outcome that names it", async () => {
  const { control } = connected();
  await assert.rejects(control.call("bug"), {
    code: "UNKNOWN_OUTCOME",
    message: /bug failed: x is not a function/,
  });
  await assert.rejects(control.call("unserializable"), { code: "UNKNOWN_OUTCOME" });
  await assert.rejects(control.call("toString" as "bug"), { message: /no control function/ });
  control.close();
});

test("a call without an answer ends as TIMEOUT", async () => {
  const { control, clock } = connected();
  const call = control.call("never");
  clock.advance(100);
  await assert.rejects(call, { code: "TIMEOUT" });
  control.close();
});

test("calls under way and later ones end as WORKER_DOWN when the other side closes", async () => {
  const { control, port1 } = connected();
  const call = control.call("never");
  port1.close();
  await assert.rejects(call, { code: "WORKER_DOWN" });
  await assert.rejects(control.call("add", 1, 2), { code: "WORKER_DOWN" });
});
