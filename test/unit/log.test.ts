/** Lines of the log: levels, and the same event for people and as JSON. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type LogLevel, logLine } from "../../runtime/base/log.ts";

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

test("an event is a line at its level and below", () => {
  for (const [at, level] of LEVELS.entries()) {
    const lines = LEVELS.map((own) =>
      logLine({ level, format: "text" }, { level: own, event: own }),
    );
    assert.deepEqual(
      lines,
      LEVELS.map((own, i) => (i < at ? "" : `${own}\n`)),
    );
  }
});

test("people read the message, or the facts and where an error came from; programs all of it", () => {
  const error = new Error("it broke");
  const events = [
    { level: "warn", event: "worker down", message: "worker 1 ended", worker: 1 },
    { level: "error", event: "actor failed", path: "vnode/3", error },
  ] as const;
  const [text, json] = (["text", "json"] as const).map((format) => {
    return events.map((event) => logLine({ level: "info", format }, event));
  });
  assert.equal(text?.[0], "worker 1 ended\n");
  assert.equal(text?.[1], `actor failed path=vnode/3 error=${error.stack}\n`);
  assert.deepEqual(
    json?.map((line) => JSON.parse(line)),
    [events[0], { ...events[1], error: { message: "it broke", stack: error.stack } }],
  );
});
