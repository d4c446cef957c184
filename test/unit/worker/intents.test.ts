/** Intents in a vnode and in the worker's log: durable whatever the keyspaces are, found again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SYSTEM_KEYSPACE } from "../../../actors/vnode/vnode-id.ts";
import type { Intent } from "../../../actors/worker/intent-codec.ts";
import { Intents, intentsVnodeId } from "../../../actors/worker/intents.ts";
import { WorkerLog } from "../../../actors/worker/worker-log.ts";
import type { Journal } from "../../../runtime/storage/journal.ts";
import { TestPartitions } from "../../support/test-partitions.ts";

function intentOf(id: string, nowMs: number): Intent {
  const args = [Buffer.from("SET"), Buffer.from(id), Buffer.from("1")];
  const part = { number: 0, keyspace: 0, partition: 3 };
  return { id, nowMs, parts: [{ ...part, entries: [{ kind: "command", args }] }] };
}

test("intents are found in the order of the log, whatever the wall clock, until they are removed", () => {
  const partitions = new TestPartitions();
  const intents = new Intents(2, (id) => partitions.vnodeOf(id));
  const written = ["c", "a", "b"].map((id, i) => intentOf(id.repeat(16), 100 - i));
  partitions.clock.shift(-1000);
  for (const intent of written) {
    intents.put(intent);
    partitions.clock.shift(-1000);
  }
  assert.deepEqual(intents.all(), written);
  intents.remove([written[0]?.id ?? "", "f".repeat(16)]);

  const replayed = partitions.replayed();
  const found = new Intents(0, () => assert.fail("nothing is put"));
  found.adopt(replayed.vnodeOf(intentsVnodeId(2)));
  assert.deepEqual(found.all(), [written[1], written[2]]);
  found.remove(written.map(({ id }) => id));
  assert.deepEqual(found.all(), []);
});

test("the node's own ops ask for a sync, whatever the keyspaces' durability is", () => {
  const asked: boolean[] = [];
  const arena = Buffer.alloc(64);
  const journal = {
    arena,
    collecting: 1,
    durableThrough: 0,
    open: () => 0,
    seal: (_bytes: number, isDurable: boolean) => asked.push(isDurable),
    append: (_vnode: number, _sequence: number, _words: Int32Array, _end: number, d: boolean) => {
      asked.push(d);
      return true;
    },
  };
  const log = new WorkerLog(journal as unknown as Journal, ["os"]);
  const op = Buffer.alloc(16);
  for (const start of [0, 4]) {
    log.append(intentsVnodeId(0), 1, op, start, 16);
    log.append(7, 1, op, start, 16);
  }
  assert.deepEqual(asked, [true, false, true, false]);
  assert.equal(log.unsynced(SYSTEM_KEYSPACE).touch(1), 3);
  assert.equal(log.unsynced(0).touch(1), 2);
});
