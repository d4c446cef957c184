/** Skimming a pipeline: it sees what the parser sees, or nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { below, seeded } from "../../../runtime/base/prng.ts";
import { PARSED, RespReader } from "../../../runtime/codec/resp-reader.ts";
import { RespSkim, SKIMMED_ARGUMENTS_MAX } from "../../../runtime/codec/resp-skim.ts";
import { encodeCommand } from "../../support/resp.ts";
import { latin1 } from "../../support/resp-feed.ts";

const argument = fc.uint8Array({ maxLength: 120 }).map((bytes) => Buffer.from(bytes));
const command = fc.array(argument, { minLength: 1, maxLength: 12 });

test("a whole command of few arguments is skimmed as it is parsed", () => {
  fc.assert(
    fc.property(fc.array(command, { minLength: 1, maxLength: 5 }), (commands) => {
      const bytes = Buffer.concat(commands.map(encodeCommand));
      const reader = new RespReader();
      const skim = new RespSkim();
      let at = 0;
      for (const args of commands) {
        const next = skim.next(bytes, at, bytes.length);
        assert.equal(reader.parse(bytes, at, bytes.length), PARSED);
        at = reader.next;
        if (args.length < 2 || args.length > SKIMMED_ARGUMENTS_MAX) assert.equal(next, -1);
        else {
          const { starts, ends } = reader.request;
          const seen = [next, skim.argumentStart, skim.argumentEnd];
          assert.deepEqual(seen, [at, starts[1], ends[1]]);
        }
      }
    }),
  );
});

test("a command that is not all here is not skimmed, whatever lies behind", () => {
  const bytes = encodeCommand(["SET", "key", "value"]);
  const skim = new RespSkim();
  for (let end = 0; end < bytes.length; end++) assert.equal(skim.next(bytes, 0, end), -1);
  assert.equal(skim.next(bytes, 0, bytes.length), bytes.length);
});

test("of bytes that were bent, only what the parser may parse is skimmed, and in bounds", () => {
  fc.assert(
    fc.property(command, fc.integer(), (args, seed) => {
      const random = seeded(seed);
      const bytes = encodeCommand(args);
      for (let i = 0; i < 3; i++) bytes[below(random, bytes.length)] = below(random, 256);
      const end = below(random, bytes.length + 1);
      const skim = new RespSkim();
      const next = skim.next(bytes, 0, end);
      if (next < 0) return;
      assert.ok(next <= end);
      assert.ok(skim.argumentStart <= skim.argumentEnd && skim.argumentEnd < next);
      const reader = new RespReader();
      if (reader.parse(bytes, 0, end) === PARSED) assert.equal(reader.next, next);
    }),
    { numRuns: 2000 },
  );
});

test("what is no plain command is not skimmed", () => {
  const skim = new RespSkim();
  const others = [
    "PING\r\n",
    "*0\r\n",
    "*-1\r\n",
    "*1\r\n$4\r\nPING\r\n",
    "*2\r\n+GET\r\n",
    "\r\n",
  ];
  const lengths = ["-1", "99999999999", "1e3", "+3", " 3"].map(
    (n) => `*2\r\n$3\r\nGET\r\n$${n}\r\n`,
  );
  for (const text of [...others, ...lengths]) {
    const bytes = latin1(`${text}abc\r\n`);
    assert.equal(skim.next(bytes, 0, bytes.length), -1, text);
  }
});
