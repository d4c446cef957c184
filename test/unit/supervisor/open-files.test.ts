/** How many clients the process's limit on open files leaves room for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  NODE_FILES,
  WORKER_FILES,
  withinOpenFiles,
} from "../../../actors/supervisor/open-files.ts";
import { embeddedConfig } from "../../../runtime/config/embedded.ts";

const machine = { cores: 4, memoryBytes: 2 ** 34 };
const config = embeddedConfig({ workers: 2 }, { folder: "/", machine });
const own = NODE_FILES + 2 * WORKER_FILES;

test("a limit that all clients fit in changes nothing", () => {
  for (const filesMax of [own + config.clients.max, Number.POSITIVE_INFINITY]) {
    assert.deepEqual(withinOpenFiles(config, filesMax), { config });
  }
});

test("a lower one leaves room for fewer clients, and is refused where it leaves none", () => {
  const { config: fewer, warning } = withinOpenFiles(config, own + 7);
  assert.equal(fewer.clients.max, 7);
  assert.match(warning ?? "", /7 clients can be connected, not the 10000 of clients\.max/);
  assert.throws(() => withinOpenFiles(config, own), {
    code: "CONFIG_INVALID",
    message: new RegExp(`a node of 2 workers needs ${own + 1}: raise it`),
  });
});
