/** The options of a node inside an application. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CoterieError } from "../../../runtime/base/errors.ts";
import { embeddedConfig, type NodeOptions } from "../../../runtime/config/embedded.ts";

const place = { folder: "/app", machine: { cores: 4, memoryBytes: 8 * 1024 ** 3 } };

test("an embedded node takes options of the same names and checks, and throws one error", () => {
  const result = embeddedConfig({ port: 0, data: "d", workers: 2, memory: 2 ** 30 }, place);
  assert.equal(result.dataFolder, "/app/d");
  assert.equal(result.workers, 2);
  assert.equal(result.memory.bytesMax, 2 ** 30);
  const open = embeddedConfig({ bind: "0.0.0.0", password: "p" }, place);
  assert.equal(open.security.password, "p");
  for (const data of [new URL("file:///tmp/d"), { folder: "d" }, true, 5, null]) {
    const options = { data } as unknown as NodeOptions;
    const message = "data: must be a string";
    assert.throws(() => embeddedConfig(options, place), { code: "CONFIG_INVALID", message });
  }
  for (const [name, message] of [
    ["password", /^password: must be a string$/],
    ["host", /^host: must be a string$/],
    ["workers", /^workers: must be a string or a number$/],
  ] as const) {
    const options = { [name]: name === "workers" ? null : 5 } as unknown as NodeOptions;
    assert.throws(() => embeddedConfig(options, place), { code: "CONFIG_INVALID", message });
  }
  const wrong = { port: -1, adminPort: 1.5, prot: 1, config: { log: { level: 1 } } };
  assert.throws(
    () => embeddedConfig(wrong, place),
    (error) => {
      assert.ok(error instanceof CoterieError);
      assert.equal(error.code, "CONFIG_INVALID");
      const paths = error.message.split("\n").map((line) => line.split(":")[0]);
      assert.deepEqual(paths, ["prot", "port", "adminPort", "log.level"]);
      return true;
    },
  );
});

test("options of an embedded node that are no object are refused like other wrong ones", () => {
  for (const options of [null, 5, "./data", ["./data"]]) {
    assert.throws(() => embeddedConfig(options as unknown as NodeOptions, place), {
      code: "CONFIG_INVALID",
      message: /^options: must be an object, such as \{ data: /,
    });
  }
});
