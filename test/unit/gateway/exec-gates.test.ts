/** What EXEC shows of keys that no step names: never what is not durable yet. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../../support/until.ts";
import { WorkerNode } from "../../support/worker-node.ts";

/** A gate of a commit that does not come. */
const CLOSED = 2 ** 40 + 1;

for (const workers of [1, 2]) {
  for (const command of [["DBSIZE"], ["KEYS", "*"], ["SCAN", "0"], ["RANDOMKEY"]]) {
    const [name] = command;
    test(`${name} within EXEC waits for the sync of what it counts, of ${workers} workers`, async () => {
      await using node = await WorkerNode.start({ workers, durability: "always" });
      using client = await node.connect();
      // Worker 0 owns this key, also of two.
      await client.call("SET", "{k}", "v");
      const [worker] = node.workers;
      const [session] = worker?.clients.values() ?? [];
      assert.ok(worker && session?.connection);
      const { connection } = session;
      worker.gates.gateOfAll = () => CLOSED;
      const ran = session.commandCount + 3;
      client.send(["MULTI"], command, ["EXEC"]);
      await until(() => (session.commandCount === ran && !connection.isBlocked) || undefined);
      assert.equal(connection.isGated, true);

      worker.gates.isOpen = () => true;
      worker.onDurable();
      const shown = name === "DBSIZE" ? "1" : "{k}";
      assert.ok(JSON.stringify(await client.take(3)).includes(shown));
    });
  }
}
