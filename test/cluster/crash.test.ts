/**
 * kill -9 in a loop, during load: after each start every key is checked against what its client
 * knows: acknowledged (must be there), sent and not answered (old or new), never sent (must not be).
 *
 * The load: counters (INCR), a register a client (SET with rising values), lists (RPUSH of rising
 * numbers: no gap, no loss, no double but of the unanswered last), hashes and sets that are deleted
 * and made again, keys with a TTL far away (the TTL must not change), and pairs written by MULTI
 * (never half).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { below, type Random, seeded } from "../../runtime/base/prng.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { ConnectionClosed, type TestClient } from "../support/test-client.ts";

const ROUNDS = Number(process.env.CRASH_ROUNDS ?? 6);
const CLIENTS = 8;
/** Pipelines that a client sends at most before the server is killed. */
const PIPELINES_MAX = 12_000;
const PIPELINE_COMMANDS = 16;
const TTL_AT = "4102444800000";

/** What one client knows. A `[low, high]` is what may be found: high - low writes are unanswered. */
interface Record {
  readonly name: string;
  replies: number;
  counter: { low: number; high: number };
  register: { low: number; high: number };
  list: { low: number; high: number };
  pair: { low: number; high: number };
  /** Fields of the hash that is deleted and made again. */
  hash: Map<string, Field>;
}

/** What a field was by the last answer, and how many later writes of it are unanswered. */
interface Field {
  value: string | null;
  pending: number;
}

type Command = { readonly args: readonly string[]; readonly acknowledged: () => void };

function newRecord(name: string): Record {
  const none = () => ({ low: 0, high: 0 });
  return {
    name,
    replies: 0,
    counter: none(),
    register: none(),
    list: none(),
    pair: none(),
    hash: new Map(),
  };
}

/** One command of the load; what it may change is noted before it is sent. */
function nextCommands(record: Record, random: Random): Command[] {
  const { name } = record;
  const raise = (range: { low: number; high: number }) => {
    const value = ++range.high;
    return {
      value: String(value),
      acknowledged: () => {
        range.low = value;
      },
    };
  };
  const quiet = () => {};
  switch (below(random, 6)) {
    case 0:
      return [{ args: ["INCR", `n:${name}`], acknowledged: raise(record.counter).acknowledged }];
    case 1: {
      const { value, acknowledged } = raise(record.register);
      return [{ args: ["SET", `r:${name}`, value, "PXAT", TTL_AT], acknowledged }];
    }
    case 2: {
      const { value, acknowledged } = raise(record.list);
      return [{ args: ["RPUSH", `l:${name}`, value], acknowledged }];
    }
    case 3: {
      const { value, acknowledged } = raise(record.pair);
      return [
        { args: ["MULTI"], acknowledged: quiet },
        { args: ["SET", `{${name}}a`, value], acknowledged: quiet },
        { args: ["SET", `{${name}}b`, value], acknowledged: quiet },
        { args: ["EXEC"], acknowledged },
      ];
    }
    case 4: {
      const field = `f${below(random, 5)}`;
      const value = String(random.u32());
      const acknowledged = touch(record, field, value);
      return [{ args: ["HSET", `h:${name}`, field, value], acknowledged }];
    }
    default: {
      const removed = [...record.hash.keys()].map((field) => touch(record, field, null));
      const acknowledged = () => {
        for (const done of removed) done();
      };
      return [{ args: ["DEL", `h:${name}`], acknowledged }];
    }
  }
}

/** Notes a write of a field that is about to be sent; what it returns notes its answer. */
function touch(record: Record, field: string, value: string | null): () => void {
  const entry = record.hash.get(field) ?? { value: null, pending: 0 };
  record.hash.set(field, entry);
  entry.pending++;
  return () => {
    entry.value = value;
    entry.pending--;
  };
}

/** Sends pipelines until the connection ends; notes every acknowledgement in order. */
async function load(client: TestClient, record: Record, random: Random): Promise<void> {
  try {
    for (let sent = 0; sent < PIPELINES_MAX; sent++) {
      const commands: Command[] = [];
      while (commands.length < PIPELINE_COMMANDS) commands.push(...nextCommands(record, random));
      client.send(...commands.map(({ args }) => args));
      for (const { args, acknowledged } of commands) {
        const reply = await client.next();
        if (reply.kind === "error") assert.fail(`${args.join(" ")}: ${reply.text}`);
        acknowledged();
        record.replies++;
      }
    }
  } catch (error) {
    if (!(error instanceof ConnectionClosed)) throw error;
  }
}

function within(value: number, { low, high }: { low: number; high: number }, what: string): void {
  assert.ok(value >= low && value <= high, `${what}: ${value} is not in [${low}, ${high}]`);
}

/** Compares all keys of a record with the server, and takes what was found as the new truth. */
async function check(client: TestClient, record: Record): Promise<void> {
  const { name } = record;
  const counter = Number((await client.call("GET", `n:${name}`)) ?? 0);
  within(counter, record.counter, `counter ${name}`);
  record.counter = { low: counter, high: counter };

  const register = Number((await client.call("GET", `r:${name}`)) ?? 0);
  within(register, record.register, `register ${name}`);
  if (register > 0) assert.equal(await client.call("PEXPIRETIME", `r:${name}`), Number(TTL_AT));
  record.register = { low: register, high: register };

  const list = (await client.call("LRANGE", `l:${name}`, "0", "-1")) as string[];
  assert.deepEqual(
    list,
    Array.from(list, (_, i) => String(i + 1)),
    `list ${name} has no gap`,
  );
  within(list.length, record.list, `list ${name}`);
  record.list = { low: list.length, high: list.length };

  const [a, b] = (await client.call("MGET", `{${name}}a`, `{${name}}b`)) as (string | null)[];
  assert.equal(a, b, `the pair ${name} was written whole or not at all`);
  within(Number(a ?? 0), record.pair, `pair ${name}`);
  record.pair = { low: Number(a ?? 0), high: Number(a ?? 0) };

  for (const [field, { value, pending }] of record.hash) {
    const found = (await client.call("HGET", `h:${name}`, field)) as string | null;
    if (pending === 0) assert.equal(found, value, `hash ${name} field ${field}`);
    record.hash.set(field, { value: found, pending: 0 });
  }
}

/** Kills the server once the clients have had about this many replies: amid their work. */
async function killAfter(
  server: TestServer,
  records: readonly Record[],
  commands: number,
): Promise<void> {
  const done = () => records.reduce((sum, { replies }) => sum + replies, 0);
  const goal = done() + commands;
  while (done() < goal && server.isRunning) await new Promise((resolve) => setImmediate(resolve));
  await server.kill9();
}

async function crashLoop(server: TestServer, seed: number): Promise<void> {
  const random = seeded(seed);
  const records = Array.from({ length: CLIENTS }, (_, i) => newRecord(`c${i}`));
  for (let round = 0; round < ROUNDS; round++) {
    const clients = await Promise.all(records.map(() => server.connect()));
    const loads = records.map((record, i) =>
      load(clients[i] as TestClient, record, seeded(random.u32())),
    );
    const commands = 50 + below(random, 600);
    // Snapshots that run into the kill belong to the load.
    if (below(random, 2) === 0) (await server.connect()).send(["BGSAVE"]);
    await Promise.all([killAfter(server, records, commands), ...loads]).catch(async (error) => {
      await server.kill9();
      throw error;
    });
    await server.restart();
    const checker = await server.connect();
    for (const record of records) await check(checker, record);
  }
}

for (const { workers, durability } of [
  { workers: 1, durability: "always" },
  { workers: 3, durability: "always" },
  { workers: 1, durability: "os" },
] as const) {
  test(`kill -9 during load loses nothing acknowledged (${durability}, ${workers} workers)`, async () => {
    await using server = await startServer({ workers, durability });
    await crashLoop(server, workers * 7 + durability.length);
  });
}
