/**
 * A start from banner to exit code, with a node and signals of the test's own.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RunningNode } from "../../actors/node-api.ts";
import { bannerText, portRange } from "../../bin/banner.ts";
import { NodeEnded, runNode, type StartSeams } from "../../bin/start.ts";
import { ManualClock } from "../../runtime/base/clock.ts";
import { CoterieError } from "../../runtime/base/errors.ts";
import { embeddedConfig } from "../../runtime/config/embedded.ts";
import type { NodeConfig } from "../../runtime/config.ts";

const machine = { cores: 4, memoryBytes: 2 ** 33 };

function configOf(options: object = {}): NodeConfig {
  return embeddedConfig(options, { folder: "/here", machine });
}

/** A process and a node in it, driven by the test. */
function staged() {
  const clock = new ManualClock();
  const handlers = new Map<string, () => void>();
  const starting = Promise.withResolvers<RunningNode>();
  const stopping = Promise.withResolvers<void>();
  const killed = Promise.withResolvers<CoterieError>();
  const printed: string[] = [];
  const exits: number[] = [];
  const calls = { stops: 0 };
  const node: RunningNode = {
    nodeId: "0123456789abcdef",
    version: "1.2.3",
    ports: configOf().self.ports,
    dataFolder: "/here/data",
    recovery: { durationMs: 1234, keys: 10, ops: 5, tornBytes: 7 },
    killed: killed.promise,
    stop() {
      calls.stops++;
      return stopping.promise;
    },
  };
  const seams: StartSeams = {
    clock,
    startNode: () => starting.promise,
    write: (text) => void printed.push(text),
    onSignal: (signal, run) => void handlers.set(signal, run),
    exit: (code) => void exits.push(code),
  };
  const signal = (name: string) => handlers.get(name)?.();
  return { clock, starting, stopping, killed, printed, exits, calls, node, seams, signal };
}

test("a signal stops the node cleanly and ends with 0", async () => {
  const stage = staged();
  const end = runNode(configOf(), stage.seams);
  stage.starting.resolve(stage.node);
  await Promise.resolve();
  stage.signal("SIGTERM");
  stage.stopping.resolve();
  assert.equal(await end, 0);
  assert.equal(stage.calls.stops, 1);
  assert.match(stage.printed.join(""), /redis-cli -p 7379\n.*SIGTERM: stopping.*stopped\n$/s);
  assert.deepEqual(stage.exits, []);
});

test("a second signal ends the process at once, but its echo through npm does not", () => {
  const stage = staged();
  void runNode(configOf(), stage.seams);
  stage.signal("SIGINT");
  stage.clock.advance(20);
  stage.signal("SIGINT");
  assert.deepEqual(stage.exits, []);
  stage.clock.advance(1000);
  stage.signal("SIGINT");
  assert.deepEqual(stage.exits, [130]);
  stage.signal("SIGTERM");
  assert.deepEqual(stage.exits, [130, 143]);
});

test("a signal while starting stops the node as soon as it has started", async () => {
  const stage = staged();
  const end = runNode(configOf(), stage.seams);
  stage.signal("SIGTERM");
  stage.starting.resolve(stage.node);
  stage.stopping.resolve();
  assert.equal(await end, 0);
  assert.equal(stage.calls.stops, 1);
});

test("signals that are none to stop by are ignored with a line, also while starting", async () => {
  const stage = staged();
  const end = runNode(configOf(), stage.seams);
  stage.signal("SIGUSR1");
  stage.signal("SIGUSR2");
  assert.deepEqual(stage.printed, ["SIGUSR1 is ignored\n", "SIGUSR2 is ignored\n"]);
  stage.starting.resolve(stage.node);
  stage.signal("SIGTERM");
  stage.stopping.resolve();
  assert.equal(await end, 0);
  assert.deepEqual(stage.exits, []);
});

test("a node that ends by itself is no clean stop", async () => {
  const stage = staged();
  const end = runNode(configOf(), stage.seams);
  stage.starting.resolve(stage.node);
  stage.killed.resolve(new CoterieError("CRASH_LOOP", "worker 1 crashed 5 times in a minute"));
  await assert.rejects(end, (error) => error instanceof NodeEnded && error.exitCode === 70);
  assert.equal(stage.calls.stops, 0);
});

test("a start that fails and a stop that fails are rejected with their reason", async () => {
  const first = staged();
  const failed = runNode(configOf(), first.seams);
  first.starting.reject(new CoterieError("PORT_IN_USE", "port 7379 is taken"));
  await assert.rejects(failed, /port 7379 is taken/);
  const second = staged();
  const end = runNode(configOf(), second.seams);
  second.starting.resolve(second.node);
  second.signal("SIGTERM");
  second.stopping.reject(new CoterieError("DISK_FAILED", "the last sync failed"));
  await assert.rejects(end, /the last sync failed/);
});

test("the banner says what a user has to know, and a line to paste", () => {
  const { node } = staged();
  const text = bannerText({ config: configOf(), node, pid: 42 });
  assert.equal(
    text,
    [
      "Coterie 1.2.3  node n1 (0123456789abcdef)  pid 42",
      "  gateway    127.0.0.1:7379",
      "  direct     7380-7382 (one a worker)",
      "  admin      http://127.0.0.1:7378",
      "  data       /here/data",
      "  durability always: acknowledged after fdatasync",
      "  recovered  10 keys in 1.23 s, torn tail of 7 bytes dropped",
      "",
      "  redis-cli -p 7379",
      "",
      "",
    ].join("\n"),
  );
  const open = configOf({ bind: "0.0.0.0", password: "p" });
  assert.match(bannerText({ config: open, node, pid: 1 }), /redis-cli -p 7379 --askpass\n/);
  const far = configOf({ host: "10.0.0.1", password: "p" });
  assert.match(bannerText({ config: far, node, pid: 1 }), /redis-cli -h 10\.0\.0\.1 -p 7379/);
});

test("a JSON log begins with the banner as one line, and has no other form of line", async () => {
  const stage = staged();
  const config = configOf({ config: { log: { format: "json" } } });
  const end = runNode(config, stage.seams);
  stage.starting.resolve(stage.node);
  stage.signal("SIGTERM");
  stage.stopping.resolve();
  await end;
  const [line, ...rest] = stage.printed
    .join("")
    .trim()
    .split("\n")
    .map((text) => JSON.parse(text));
  assert.deepEqual(
    rest.map(({ event }) => event),
    ["stopping", "stopped"],
  );
  assert.equal(line.event, "started");
  assert.equal(line.ports.gateway, 7379);
});

test("ports in a row are a range, others a list", () => {
  assert.equal(portRange([7380, 7381, 7382]), "7380-7382");
  assert.equal(portRange([7380]), "7380");
  assert.equal(portRange([40001, 40005]), "40001, 40005");
  assert.equal(portRange([]), "none");
});
