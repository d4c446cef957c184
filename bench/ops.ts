/**
 * `npm run bench:ops`: operations a second and latencies of Coterie and, where it is installed, of a
 * redis-server beside it: same run, same client, rounds in turn (A B A B …), medians.
 *
 *   npm run bench:ops -- --pipeline 1 --reads 0.9 --distribution zipf --rate half
 *   npm run bench:ops -- --servers redis,redis      how far two equal servers seem apart
 *
 * The driver is one thread of JavaScript and may be the limit at deep pipelines; the official
 * ratios are redis-ratios.ts's, whose client is redis-benchmark.
 */
import { seeded } from "../runtime/base/prng.ts";
import { type LoadResult, mustRun } from "./driver.ts";
import {
  type Flags,
  median,
  printMachine,
  printTable,
  readFlags,
  say,
  thousands,
} from "./report.ts";
import { type Servers, serverChoices, settingsOf, withServers } from "./servers.ts";
import {
  CommandTemplate,
  type Draw,
  inSequence,
  KEY,
  mixed,
  repeated,
  textOf,
  uniform,
  type Workload,
  zipf,
} from "./workload.ts";

const flags = readFlags("npm run bench:ops -- [flags]", {
  servers: "coterie,redis",
  connections: "50",
  pipeline: "16,1",
  reads: "1,0,0.9",
  keys: "100000",
  distribution: "uniform",
  theta: "0.99",
  value: "64",
  seconds: "1",
  requests: "",
  rate: "",
  rounds: "3",
  durability: "os",
  workers: "1",
  port: "",
  seed: "1",
});
type FlagName = typeof flags extends Flags<infer Name> ? Name : never;

const LOAD_PIPELINE = 64;
const WARM_SECONDS = 0.5;
const SHARES = [0.5, 0.99, 0.999] as const;

interface Target {
  readonly name: string;
  readonly port: number;
}

/** One row: a share of reads at a pipeline depth. */
interface Case {
  readonly reads: number;
  readonly pipeline: number;
}

/** A number, or undefined where the flag was not given. */
function optional(name: FlagName): number | undefined {
  return flags.text(name) === "" ? undefined : flags.number(name);
}

/** Fresh for each run: both servers get the same commands in the same order. */
function workloadOf(reads: number, seed: number): Workload {
  const random = seeded(seed);
  const keys = flags.number("keys");
  const draws: Readonly<Record<string, () => Draw>> = {
    uniform: () => uniform(keys, random),
    zipf: () => zipf(keys, random, flags.number("theta")),
    sequence: () => inSequence(keys),
  };
  const draw = draws[flags.text("distribution")];
  if (draw === undefined) throw new Error(`--distribution is one of ${Object.keys(draws)}`);
  const get = new CommandTemplate("GET", KEY);
  const set = new CommandTemplate("SET", KEY, textOf(flags.number("value")));
  if (reads >= 1) return repeated(get, draw());
  if (reads <= 0) return repeated(set, draw());
  return mixed(reads, get, set, draw(), random);
}

/** Every key is there before anything is measured. */
async function fill({ name, port }: Target): Promise<void> {
  const keys = flags.number("keys");
  const set = new CommandTemplate("SET", KEY, textOf(flags.number("value")));
  const workload = repeated(set, inSequence(keys));
  const load = { connections: 8, pipeline: LOAD_PIPELINE, workload, requests: keys };
  const { opsPerSecond } = await mustRun({ port, ...load });
  say(`${name}: ${thousands(keys)} keys loaded at ${thousands(opsPerSecond)} a second`);
}

interface RunOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly requests?: number | undefined;
  readonly rate?: number | undefined;
}

function run(target: Target, { reads, pipeline }: Case, options: RunOptions): Promise<LoadResult> {
  const { seed, seconds, requests, rate } = options;
  return mustRun({
    port: target.port,
    connections: flags.number("connections"),
    pipeline,
    workload: workloadOf(reads, seed),
    ...(requests === undefined ? { seconds } : { requests }),
    ...(rate === undefined ? {} : { rate }),
  });
}

/** Results of one case, target by target, in rounds that alternate. */
async function measure(
  targets: readonly Target[],
  which: Case,
  rate: number | undefined,
): Promise<LoadResult[][]> {
  const seed = flags.number("seed");
  const seconds = flags.number("seconds");
  const results: LoadResult[][] = targets.map(() => []);
  for (const target of targets) await run(target, which, { seed, seconds: WARM_SECONDS, rate });
  for (let round = 0; round < flags.number("rounds"); round++) {
    for (const [i, target] of targets.entries()) {
      const requests = optional("requests");
      const result = await run(target, which, { seed: seed + round, seconds, requests, rate });
      results[i]?.push(result);
    }
  }
  return results;
}

function rowOf(name: string, which: Case, results: readonly LoadResult[], base: number): string[] {
  const speed = median(results.map(({ opsPerSecond }) => opsPerSecond));
  const latencies = SHARES.map((share) => median(results.map((each) => each.latencyMs(share))));
  const worst = Math.max(...results.map((each) => each.latencyMs(1)));
  const mix = which.reads >= 1 ? "GET" : which.reads <= 0 ? "SET" : `GET ${which.reads * 100} %`;
  return [
    `${mix} P=${which.pipeline}`,
    name,
    thousands(speed),
    (speed / base).toFixed(2),
    ...[...latencies, worst].map((ms) => ms.toFixed(3)),
  ];
}

const HEADS = ["case", "server", "ops/s", "ratio", "p50 ms", "p99 ms", "p99.9 ms", "max ms"];

/** Rows of a case; the ratio is to the last target, which is the peer. */
function rowsOf(targets: readonly Target[], which: Case, results: LoadResult[][]): string[][] {
  const speeds = results.map((each) => median(each.map(({ opsPerSecond }) => opsPerSecond)));
  const base = speeds.at(-1) ?? Number.NaN;
  return targets.map(({ name }, i) => rowOf(name, which, results[i] ?? [], base));
}

async function measureAll(targets: readonly Target[]): Promise<void> {
  const cases = flags.numbers("pipeline").flatMap((pipeline) => {
    return flags.numbers("reads").map((reads): Case => ({ reads, pipeline }));
  });
  const isHalf = flags.text("rate") === "half";
  const fixed = isHalf ? undefined : optional("rate");
  const rows: string[][] = [];
  const halfRows: string[][] = [];
  for (const which of cases) {
    const results = await measure(targets, which, fixed);
    rows.push(...rowsOf(targets, which, results));
    if (!isHalf) continue;
    const slowest = Math.min(...results.flat().map(({ opsPerSecond }) => opsPerSecond));
    halfRows.push(...rowsOf(targets, which, await measure(targets, which, slowest / 2)));
  }
  printTable(HEADS, rows);
  if (halfRows.length === 0) return;
  process.stdout.write("\nAt half the rate of the slowest round above, for all alike:\n\n");
  printTable(HEADS, halfRows);
}

async function startAll(servers: Servers): Promise<Target[]> {
  const targets: Target[] = [];
  for (const choice of serverChoices(flags.list("servers"))) {
    const words = settingsOf(choice.kind, flags.text("durability"), flags.text("workers"));
    const { server, client } = await servers.start({ ...choice, words });
    client.close();
    targets.push({ name: choice.name, port: server.port });
  }
  return targets;
}

const settings = ["connections", "keys", "distribution", "value", "durability"] as const;
printMachine(`bench:ops ${settings.map((name) => `${name}=${flags.text(name)}`).join(" ")}`);
await withServers(async (servers) => {
  const outside = optional("port");
  const targets =
    outside === undefined ? await startAll(servers) : [{ name: `port ${outside}`, port: outside }];
  for (const target of targets) await fill(target);
  await measureAll(targets);
});
