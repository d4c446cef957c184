/** The worker host with real threads: the mesh, deaths, restarts, crash loops and the end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessagePort, ResourceLimits } from "node:worker_threads";
import { systemClock, systemTimers } from "../../../runtime/base/clock.ts";
import { CoterieError } from "../../../runtime/base/errors.ts";
import { seeded } from "../../../runtime/base/prng.ts";
import { wrapControl } from "../../../runtime/thread/control.ts";
import { WorkerHost } from "../../../runtime/thread/worker-host.ts";
import { newThreads, type WorkerThread } from "../../../runtime/thread/worker-thread.ts";
import {
  ECHO,
  ECHOED,
  EXIT,
  FILL_HEAP,
  FORWARD,
  FORWARDED,
  PEER_DOWN,
  THROW,
  UP,
} from "./echo-kinds.ts";
import type { EchoArgs, echoApi } from "./echo-worker.ts";
import type { Received } from "./support.ts";
import { send, until } from "./support.ts";

interface Options {
  readonly workers?: number;
  readonly args?: (index: number, start: number) => EchoArgs | Promise<EchoArgs>;
  readonly restartsMax?: number;
  readonly resourceLimits?: ResourceLimits;
  readonly threads?: readonly WorkerThread[];
}

const ENTRY = new URL("./echo-worker.ts", import.meta.url);

function echoHost(options: Options = {}) {
  const { workers = 1, args = () => ({}), restartsMax = 3 } = options;
  const received: (Received & { readonly from: number })[] = [];
  const downs: { readonly index: number; readonly reason: CoterieError }[] = [];
  const crashLoops: CoterieError[] = [];
  const controls: MessagePort[] = [];
  const starts: number[] = new Array(workers).fill(0);
  const host = new WorkerHost({
    entry: ENTRY,
    workers,
    async args(index) {
      const start = (starts[index] ?? 0) + 1;
      starts[index] = start;
      return args(index, start);
    },
    portOptions: (from) => ({
      onMessage(kind, id, buffer, start, end) {
        received.push({ from, kind, id, payload: buffer.toString("latin1", start, end) });
      },
      onBatchEnd: () => host.ports[from]?.flush(),
    }),
    clock: systemClock,
    timers: systemTimers,
    random: seeded(1),
    policy: { restartsMax, withinMs: 60_000, delayMs: 1, delayMsMax: 1 },
    onWorkerUp: (index, control) => {
      controls[index] = control;
    },
    onWorkerDown: (index, reason) => void downs.push({ index, reason }),
    onCrashLoop: (reason) => void crashLoops.push(reason),
    ...(options.resourceLimits ? { resourceLimits: options.resourceLimits } : {}),
    ...(options.threads ? { threads: options.threads } : {}),
  });
  const tell = (index: number, kind: number, id: number, payload: string) => {
    const port = host.ports[index];
    assert.ok(port && send(port, { kind, id, payload }));
    port.flush();
  };
  const reply = async (id: number) => {
    const find = () => received.find((one) => one.id === id);
    await until(() => find() !== undefined, `reply ${id}`);
    return find();
  };
  return { host, received, downs, crashLoops, controls, starts, tell, reply };
}

test("workers answer main, reach each other, and stop in time", async () => {
  const { host, tell, reply, controls } = echoHost({ workers: 3 });
  await host.start();
  tell(0, ECHO, 1, "hello");
  assert.deepEqual(await reply(1), { from: 0, kind: ECHOED, id: 1, payload: "hello" });
  let id = 10;
  for (const from of [0, 1, 2]) {
    for (const to of [0, 1, 2]) {
      if (from === to) continue;
      tell(from, FORWARD, ++id, String(to));
      assert.deepEqual(await reply(id), { from, kind: FORWARDED, id, payload: String(to) });
    }
  }
  const timers = systemTimers;
  const control = wrapControl<typeof echoApi>(controls[2] as MessagePort, {
    timers,
    timeoutMs: 5_000,
  });
  assert.equal(await control.call("index"), 2);
  assert.deepEqual(await control.call("connected"), [true, true, false]);
  assert.deepEqual(await host.stop(5_000), { forced: [], failed: [] });
  await assert.rejects(control.call("index"), { code: "WORKER_DOWN" });
});

test("a worker that throws is restarted, its reason is clear, and its peers reach the new one", async () => {
  const { host, tell, reply, downs, starts } = echoHost({ workers: 2 });
  await host.start();
  tell(1, THROW, 1, "boom");
  await until(() => downs.length === 1, "the worker is down");
  assert.equal(host.isReady(1), false);
  assert.equal(downs[0]?.index, 1);
  assert.equal(downs[0]?.reason.code, "WORKER_DOWN");
  assert.match(downs[0]?.reason.message ?? "", /worker 1 failed: TypeError: boom/);
  tell(0, FORWARD, 2, "1");
  const during = (await reply(2))?.kind;
  assert.ok(during === PEER_DOWN || during === FORWARDED);
  await until(() => host.isReady(1), "the worker is back");
  tell(0, FORWARD, 3, "1");
  assert.equal((await reply(3))?.kind, FORWARDED);
  tell(1, FORWARD, 4, "0");
  assert.equal((await reply(4))?.kind, FORWARDED);
  assert.deepEqual(starts, [1, 2]);
  await host.stop(5_000);
});

test("a worker that exits or fills its heap says so", async () => {
  const resourceLimits = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 16 };
  const { host, tell, downs } = echoHost({ resourceLimits });
  await host.start();
  tell(0, EXIT, 1, "7");
  await until(() => downs.length === 1 && host.isReady(0), "the worker is back");
  assert.match(downs[0]?.reason.message ?? "", /exit code 7/);
  tell(0, FILL_HEAP, 2, "");
  await until(() => downs.length === 2, "the worker is down");
  assert.match(downs[1]?.reason.message ?? "", /ran out of JavaScript heap/);
  await until(() => host.isReady(0), "the worker is back");
  await host.stop(5_000);
});

test("a worker that dies again and again is given up, with the last reason", async () => {
  const { host, tell, crashLoops, starts } = echoHost({ restartsMax: 1 });
  await host.start();
  for (const id of [1, 2]) {
    await until(() => host.isReady(0), "the worker is up");
    tell(0, THROW, id, `boom ${id}`);
    await until(() => !host.isReady(0), "the worker is down");
  }
  assert.equal(crashLoops.length, 1);
  assert.equal(crashLoops[0]?.code, "CRASH_LOOP");
  assert.match(crashLoops[0]?.message ?? "", /worker 0 ended 2 times in a row.*boom 2/);
  assert.deepEqual(starts, [2]);
  await host.stop(5_000);
});

test("a start that throws is tried again; when it goes on, start rejects", async () => {
  const flaky = echoHost({
    args: (_index, start) => (start < 2 ? { mode: "throws at start" } : {}),
  });
  await flaky.host.start();
  assert.deepEqual(flaky.starts, [2]);
  await flaky.host.stop(5_000);
  const broken = echoHost({ restartsMax: 1, args: () => ({ mode: "throws at start" }) });
  await assert.rejects(broken.host.start(), { code: "CRASH_LOOP", message: /the recovery failed/ });
  assert.deepEqual(broken.crashLoops, []);
  await broken.host.stop(5_000);
});

test("a worker that cannot start ends the start at once, with its own error", async () => {
  const { host, starts } = echoHost({
    workers: 2,
    args: (index) => (index === 1 ? { mode: "cannot start" } : {}),
  });
  await assert.rejects(host.start(), {
    code: "DATA_FOLDER_FOREIGN",
    message: "not ours",
    detail: { path: "/d" },
  });
  await host.stop(5_000);
  assert.deepEqual(starts, [1, 1]);
});

test("threads come up while their args are still being found, and begin with them", async () => {
  const found = Promise.withResolvers<EchoArgs>();
  const { host, tell, reply } = echoHost({ args: () => found.promise });
  const started = host.start();
  found.resolve({});
  await started;
  tell(0, ECHO, 1, "hello");
  assert.equal((await reply(1))?.payload, "hello");
  await host.stop(5_000);
});

test("what a worker begins with cannot be found: the start ends at once, and says why", async () => {
  const missing = new CoterieError("CORRUPT", "it is damaged");
  const { host, starts } = echoHost({ args: () => Promise.reject(missing) });
  await assert.rejects(host.start(), missing);
  assert.deepEqual(await host.stop(5_000), { forced: [], failed: [] });
  assert.deepEqual(starts, [1]);
});

test("what a successor begins with cannot be found, or not be sent: it is down, and another is tried", async () => {
  const unsendable = { mode: () => undefined } as unknown as EchoArgs;
  const { host, tell, reply, downs, starts } = echoHost({
    args: (_index, start) => {
      if (start === 2) throw new CoterieError("CORRUPT", "it is damaged");
      return start === 3 ? unsendable : {};
    },
  });
  await host.start();
  await host.kill(0);
  await until(() => downs.length === 3 && host.isReady(0), "the fourth is up");
  assert.equal(downs[1]?.reason.code, "CORRUPT");
  assert.match(downs[2]?.reason.message ?? "", /worker 0 failed: DataCloneError/);
  assert.deepEqual(starts, [4]);
  tell(0, ECHO, 1, "hello");
  assert.equal((await reply(1))?.payload, "hello");
  await host.stop(5_000);
});

test("a successor that finds the disk full is no crash loop: it is tried until there is room", async () => {
  const { host, downs, crashLoops, starts } = echoHost({
    restartsMax: 1,
    args: (_index, start) => {
      if (start > 1 && start < 6) throw new CoterieError("DISK_FULL", "no room");
      return {};
    },
  });
  await host.start();
  await host.kill(0);
  await until(() => downs.length === 5 && host.isReady(0), "the sixth is up");
  assert.deepEqual([starts, crashLoops], [[6], []]);
  await host.stop(5_000);
});

test("a worker whose folder is another one by now has no successor: the host gives up at once", async () => {
  const gone = new CoterieError("DATA_FOLDER_FOREIGN", "not ours any more");
  const { host, downs, crashLoops, starts } = echoHost({
    args: (_index, start) => {
      if (start > 1) throw gone;
      return {};
    },
  });
  await host.start();
  await host.kill(0);
  await until(() => crashLoops.length > 0, "the host gives up");
  assert.deepEqual([starts, downs.length, crashLoops], [[2], 1, [gone]]);
  await host.stop(5_000);
});

test("threads may come up before their host: it takes them over, and hears of one that died", async () => {
  const threads = newThreads({ entry: ENTRY, workers: 2 });
  await threads[1]?.terminate();
  const { host, tell, reply, downs, starts } = echoHost({ workers: 2, threads });
  await host.start();
  assert.deepEqual([downs.map(({ index }) => index), starts], [[1], [1, 2]]);
  tell(0, FORWARD, 1, "1");
  assert.equal((await reply(1))?.kind, FORWARDED);
  tell(1, FORWARD, 2, "0");
  assert.equal((await reply(2))?.kind, FORWARDED);
  assert.deepEqual(await host.stop(5_000), { forced: [], failed: [] });
});

test("a worker that never began is ended at once, and that is no failed stop", async () => {
  const { host, downs } = echoHost({ args: () => new Promise(() => {}) });
  const channel = new BroadcastChannel(UP);
  const isUp = new Promise((resolve) => {
    channel.onmessage = resolve;
  });
  const started = assert.rejects(host.start(), { code: "WORKER_DOWN" });
  await isUp;
  channel.close();
  assert.deepEqual(await host.stop(5_000), { forced: [], failed: [] });
  await started;
  assert.deepEqual(downs, []);
});

test("a worker that does not stop in time is ended by force", async () => {
  const { host } = echoHost({
    workers: 2,
    args: (index) => (index === 1 ? { mode: "never stops" } : {}),
  });
  await host.start();
  assert.deepEqual(await host.stop(200), { forced: [1], failed: [] });
});

test("a worker that fails while it stops is named with its reason", async () => {
  const { host } = echoHost({ args: () => ({ mode: "fails to stop" }) });
  await host.start();
  const { forced, failed } = await host.stop(5_000);
  assert.deepEqual(forced, []);
  assert.match(failed[0]?.message ?? "", /worker 0 failed: Error: the last sync failed/);
});
