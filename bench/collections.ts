/**
 * `npm run bench:collections`: what an operation costs on a collection of a million elements against
 * one of a hundred, and how long other clients wait while such a collection is deleted.
 *
 * Big and small ones live in the same server and are measured in turn; the ratio is that of the
 * medians. Beside it redis-server, but for what it does element by element (LINDEX, LSET), and its
 * DEL, which is known to stop everyone, with UNLINK for comparison.
 */
import { seeded } from "../runtime/base/prng.ts";
import type { ControlClient } from "./control-client.ts";
import { mustRun } from "./driver.ts";
import { median, printMachine, printTable, range, readFlags, say, thousands } from "./report.ts";
import { type ServerKind, serverChoices, settingsOf, withServers } from "./servers.ts";
import {
  alternating,
  CommandTemplate,
  type Draw,
  inSequence,
  KEY,
  mixed,
  repeated,
  textOf,
  uniform,
  type Workload,
} from "./workload.ts";

const flags = readFlags("npm run bench:collections -- [flags]", {
  servers: "coterie,redis",
  large: "1000000",
  small: "100",
  value: "64",
  seconds: "0.4",
  rounds: "3",
  durability: "os",
});

const large = flags.number("large");
const small = flags.number("small");
const value = textOf(flags.number("value"));
const NAME = "element:############";
/** Elements that are added and removed again, beyond those that stay. */
const EXTRA = 1000;
/** Other clients' keys, and how long they are watched around a DEL. */
const OTHER_KEYS = 10_000;
const WATCH_SECONDS = 2;
const DELETE_AFTER_MS = 500;

interface Target {
  readonly kind: ServerKind;
  readonly name: string;
  readonly port: number;
  readonly client: ControlClient;
}

/** How a collection of each type is filled. */
const fills: Readonly<Record<string, (key: string) => CommandTemplate>> = {
  hash: (key) => new CommandTemplate("HSET", key, NAME, value),
  set: (key) => new CommandTemplate("SADD", key, NAME),
  list: (key) => new CommandTemplate("RPUSH", key, NAME),
  zset: (key) => new CommandTemplate("ZADD", key, "1", NAME),
};
const types = Object.keys(fills);

/** One kind of operation on the collection at `key`, which holds `count` elements. */
interface Operation {
  readonly type: string;
  readonly name: string;
  /** redis-server walks there: not measured on it. */
  readonly isWalk?: boolean;
  workload(key: string, count: number): Workload;
}

/** A number of an element that is there. */
function present(count: number): Draw {
  return uniform(count, seeded(count));
}

/** Indexes as lists take them, without zeros in front: those with as many digits as the last. */
function indexes(count: number): { readonly digits: string; readonly draw: Draw } {
  const digits = String(count - 1).length;
  const from = 10 ** (digits - 1);
  return { digits: "#".repeat(digits), draw: uniform(count - from, seeded(count), from) };
}

function reading(type: string, command: string): Operation {
  return {
    type,
    name: command,
    workload: (key, count) => repeated(new CommandTemplate(command, key, NAME), present(count)),
  };
}

function addingAndRemoving(type: string, removing: string): Operation {
  const add = fills[type];
  if (add === undefined) throw new Error(`no type ${type}`);
  return {
    type,
    name: `${add(type).name} new, ${removing}`,
    workload: (key, count) => {
      const draw = inSequence(EXTRA, count);
      return alternating(add(key), new CommandTemplate(removing, key, NAME), draw);
    },
  };
}

const operations: readonly Operation[] = [
  reading("hash", "HGET"),
  {
    type: "hash",
    name: "HSET",
    workload: (key, count) => {
      return repeated(new CommandTemplate("HSET", key, NAME, value), present(count));
    },
  },
  addingAndRemoving("hash", "HDEL"),
  reading("set", "SISMEMBER"),
  addingAndRemoving("set", "SREM"),
  {
    type: "list",
    name: "RPUSH, LPOP",
    workload: (key) => {
      const push = new CommandTemplate("RPUSH", key, NAME);
      return alternating(push, new CommandTemplate("LPOP", key), inSequence(EXTRA));
    },
  },
  {
    type: "list",
    name: "LINDEX",
    isWalk: true,
    workload: (key, count) => {
      const { digits, draw } = indexes(count);
      return repeated(new CommandTemplate("LINDEX", key, digits), draw);
    },
  },
  {
    type: "list",
    name: "LSET",
    isWalk: true,
    workload: (key, count) => {
      const { digits, draw } = indexes(count);
      return repeated(new CommandTemplate("LSET", key, digits, "other"), draw);
    },
  },
  reading("zset", "ZSCORE"),
  addingAndRemoving("zset", "ZREM"),
];

async function fill({ port }: Target, type: string, key: string, count: number): Promise<void> {
  const template = fills[type]?.(key);
  if (template === undefined) throw new Error(`no type ${type}`);
  // One connection: a list's elements then stand in the order of their numbers.
  const workload = repeated(template, inSequence(count));
  await mustRun({ port, connections: 1, pipeline: 256, workload, requests: count });
}

/** Nanoseconds an operation, in rounds: small and large in turn. */
async function measure({ port }: Target, { type, workload }: Operation): Promise<number[][]> {
  const times: number[][] = [[], []];
  const seconds = flags.number("seconds");
  // Round 0 is not counted: it compiles, grows and caches.
  for (let round = 0; round <= flags.number("rounds"); round++) {
    for (const [i, count] of [small, large].entries()) {
      const load = workload(`${type}:${count}`, count);
      const options = { port, connections: 10, pipeline: 16, workload: load, seconds };
      const { opsPerSecond } = await mustRun(options);
      if (round > 0) times[i]?.push(1e9 / opsPerSecond);
    }
  }
  return times;
}

async function costs(target: Target): Promise<string[][]> {
  const rows: string[][] = [];
  for (const operation of operations) {
    if (operation.isWalk === true && target.kind === "redis") continue;
    say(`${target.name}: ${operation.type} ${operation.name}`);
    const [few = [], many = []] = await measure(target, operation);
    const ratios = many.map((time, i) => time / (few[i] ?? Number.NaN));
    rows.push([
      `${operation.type}: ${operation.name}`,
      target.name,
      median(few).toFixed(0),
      median(many).toFixed(0),
      (median(many) / median(few)).toFixed(2),
      range(ratios),
    ]);
  }
  return rows;
}

/** Longest wait of another client, ms, while `act` runs amid its load; and how long `act` took. */
async function longestWait({ port }: Target, act: () => Promise<unknown>): Promise<number[]> {
  const random = seeded(3);
  const get = new CommandTemplate("GET", KEY);
  const set = new CommandTemplate("SET", KEY, value);
  const workload = mixed(0.5, get, set, uniform(OTHER_KEYS, random), random);
  const load = mustRun({ port, connections: 2, pipeline: 1, workload, seconds: WATCH_SECONDS });
  const acted = new Promise<number>((resolve, reject) => {
    setTimeout(() => {
      const from = performance.now();
      act().then(() => resolve(performance.now() - from), reject);
    }, DELETE_AFTER_MS);
  });
  const [result, took] = await Promise.all([load, acted]);
  return [result.latencyMs(1), took];
}

async function deletions(target: Target, type: string, command: string): Promise<string[]> {
  const waits: number[] = [];
  const before: number[] = [];
  const took: number[] = [];
  for (let round = 0; round < flags.number("rounds"); round++) {
    const key = `${type}:deleted`;
    await fill(target, type, key, large);
    const [quiet = Number.NaN] = await longestWait(target, async () => undefined);
    const [wait = Number.NaN, ms = Number.NaN] = await longestWait(target, async () => {
      const removed = await target.client.run(command, key);
      if (removed !== 1) throw new Error(`${command} ${key} removed ${removed}`);
    });
    before.push(quiet);
    waits.push(wait);
    took.push(ms);
  }
  return [
    `${command} ${type}`,
    target.name,
    median(took).toFixed(2),
    median(waits).toFixed(2),
    range(waits),
    median(before).toFixed(2),
  ];
}

printMachine(`bench:collections, ${thousands(large)} elements against ${thousands(small)}`);
await withServers(async (servers) => {
  const costRows: string[][] = [];
  const deletionRows: string[][] = [];
  for (const choice of serverChoices(flags.list("servers"))) {
    const { kind, name } = choice;
    const words = settingsOf(kind, flags.text("durability"));
    const { server, client } = await servers.start({ ...choice, words });
    const target = { kind, name, port: server.port, client };
    for (const type of types) {
      for (const count of [small, large]) await fill(target, type, `${type}:${count}`, count);
    }
    say(`${name}: filled`);
    costRows.push(...(await costs(target)));
    for (const type of types) deletionRows.push(await deletions(target, type, "DEL"));
    if (kind === "redis") deletionRows.push(await deletions(target, "hash", "UNLINK"));
    client.close();
    await server.kill();
  }
  const sizes = [`ns/op at ${thousands(small)}`, `at ${thousands(large)}`];
  printTable(["operation", "server", ...sizes, "ratio", "rounds"], costRows);
  process.stdout.write("\nTo land: within 3 times.\n\n");
  const waits = ["others wait ms", "rounds", "without DEL ms"];
  printTable(["deletion", "server", "took ms", ...waits], deletionRows);
  process.stdout.write(
    "\nTo land: others wait at most 10 ms (longest of about 100 000 commands).\n",
  );
});
