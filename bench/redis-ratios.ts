/**
 * `npm run bench:redis`: the official ratios to redis-server, by redis-benchmark itself: one server
 * after the other in every round (A B A B …), medians of the rounds.
 *
 *   npm run bench:redis -- --rounds 15 --durability always
 *   npm run bench:redis -- --servers redis,redis       how far two equal servers seem apart
 *
 * A ratio is the median of A over the median of B, at 50 clients, 100 000 random keys of 16 bytes,
 * values of 64 bytes, one worker. Both servers hold every key before the first round.
 *
 * A round takes two to three seconds. Shorter ones measure other things, too: 50 connections are
 * 10 ms of each, a pass of snapshots falls into some, and all of them into a node's first seconds.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { mustRun } from "./driver.ts";
import {
  median,
  printMachine,
  printTable,
  range,
  readFlags,
  redisVersion,
  say,
  thousands,
} from "./report.ts";
import {
  type RunningServer,
  type Servers,
  serverChoices,
  settingsOf,
  withServers,
} from "./servers.ts";
import { CommandTemplate, inSequence, KEY, repeated, textOf } from "./workload.ts";

const flags = readFlags("npm run bench:redis -- [flags]", {
  servers: "coterie,redis",
  rounds: "9",
  requests: "2000000",
  durability: "os,always",
});

const CLIENTS = 50;
const KEYS = 100_000;
const VALUE_BYTES = 64;
/** Un-pipelined commands are about this much slower: their rounds take as long with fewer of them. */
const UNPIPELINED_SHARE = 1 / 8;
/** So are durable ones. */
const DURABLE_SHARE = 1 / 2;

const run = promisify(execFile);

/** One row of the table, with what it must reach to land and the goal (issue 2 and design 11). */
interface Case {
  readonly durability: string;
  readonly command: "GET" | "SET";
  readonly pipeline: number;
  readonly floor: number;
  readonly goal: number;
}

const cases: readonly Case[] = [
  { durability: "os", command: "GET", pipeline: 16, floor: 0.7, goal: 1.0 },
  { durability: "os", command: "SET", pipeline: 16, floor: 0.7, goal: 1.0 },
  { durability: "os", command: "GET", pipeline: 1, floor: 0.8, goal: 0.9 },
  { durability: "os", command: "SET", pipeline: 1, floor: 0.8, goal: 0.9 },
  { durability: "always", command: "SET", pipeline: 16, floor: 1.3, goal: 1.5 },
  { durability: "always", command: "SET", pipeline: 1, floor: 1.0, goal: 1.1 },
];

/** What redis-benchmark measured of one round. */
interface Sample {
  readonly speed: number;
  readonly p99Ms: number;
  /** CPU time of the server a command, all its threads, µs. */
  readonly cpuUs: number;
}

/** Runs redis-benchmark once. Its CSV: test, rps, latencies avg, min, p50, p95, p99, max. */
async function sample(target: RunningServer, which: Case, requests: number): Promise<Sample> {
  const { command, pipeline } = which;
  const words = ["-p", target.port, "-t", command.toLowerCase(), "-c", CLIENTS, "-r", KEYS];
  const more = ["-d", VALUE_BYTES, "-P", pipeline, "-n", requests, "--csv"];
  const cpuBefore = target.cpuMs();
  const { stdout, stderr } = await run("redis-benchmark", [...words, ...more].map(String));
  const line = stdout.split("\n").find((text) => text.startsWith(`"${command}"`));
  const fields = line?.split(",").map((field) => Number(field.replaceAll('"', ""))) ?? [];
  const cpuUs = ((target.cpuMs() - cpuBefore) * 1000) / requests;
  const [, speed = Number.NaN, , , , , p99Ms = Number.NaN] = fields;
  if (!(speed > 0)) throw new Error(`redis-benchmark on ${target.name}: ${stdout}${stderr}`);
  return { speed, p99Ms, cpuUs };
}

function requestsOf({ durability, pipeline }: Case): number {
  const durable = durability === "always" ? DURABLE_SHARE : 1;
  const unpipelined = pipeline === 1 ? UNPIPELINED_SHARE : 1;
  return Math.ceil(flags.number("requests") * durable * unpipelined);
}

/** Rounds of one case, servers in turn. */
async function measure(targets: readonly RunningServer[], which: Case): Promise<Sample[][]> {
  const requests = requestsOf(which);
  const samples: Sample[][] = targets.map(() => []);
  // A round before the first, so that both have compiled, grown and cached what they will.
  for (const target of targets) await sample(target, which, requests);
  for (let round = 0; round < flags.number("rounds"); round++) {
    for (const [i, target] of targets.entries()) {
      samples[i]?.push(await sample(target, which, requests));
    }
  }
  return samples;
}

function verdict(ratio: number, { floor, goal }: Case): string {
  if (ratio >= goal) return "goal";
  return ratio >= floor ? "lands" : "below";
}

function rowOf(which: Case, samples: readonly Sample[][]): string[] {
  const { durability, command, pipeline, floor, goal } = which;
  const speeds = samples.map((each) => each.map(({ speed }) => speed));
  const [a = [], b = []] = speeds;
  const ratio = median(a) / median(b);
  const ratios = a.map((speed, i) => speed / (b[i] ?? Number.NaN));
  const both = (of: (each: Sample) => number) => {
    return samples.map((each) => median(each.map(of)).toFixed(2)).join(" / ");
  };
  return [
    `${durability} ${command} P=${pipeline}`,
    thousands(median(a)),
    b.length === 0 ? "-" : thousands(median(b)),
    b.length === 0 ? "-" : ratio.toFixed(2),
    b.length === 0 ? "-" : range(ratios),
    both(({ p99Ms }) => p99Ms),
    both(({ cpuUs }) => cpuUs),
    `${floor} / ${goal}`,
    b.length === 0 ? "-" : verdict(ratio, which),
  ];
}

async function fill(targets: readonly RunningServer[]): Promise<void> {
  const set = new CommandTemplate("SET", KEY, textOf(VALUE_BYTES));
  for (const { port } of targets) {
    const workload = repeated(set, inSequence(KEYS));
    await mustRun({ port, connections: 8, pipeline: 64, workload, requests: KEYS });
  }
}

async function startAll(servers: Servers, durability: string): Promise<RunningServer[]> {
  const targets: RunningServer[] = [];
  for (const choice of serverChoices(flags.list("servers"))) {
    const words = settingsOf(choice.kind, durability);
    const { server, client } = await servers.start({ ...choice, words });
    client.close();
    targets.push(server);
  }
  await fill(targets);
  return targets;
}

if (redisVersion() === undefined) {
  say("redis-benchmark and redis-server are not installed (apt-get install redis-server)");
  process.exit(1);
}
const rounds = flags.number("rounds");
printMachine(`bench:redis, medians of ${rounds} rounds, A and B in turn`);
const rows: string[][] = [];
let names: string[] = [];
for (const durability of flags.list("durability")) {
  await withServers(async (servers) => {
    const targets = await startAll(servers, durability);
    names = targets.map(({ name }) => name);
    for (const which of cases.filter((each) => each.durability === durability)) {
      rows.push(rowOf(which, await measure(targets, which)));
      say(rows.at(-1)?.join("  ") ?? "");
    }
  });
}
const [a = "A", b = "B"] = names;
const heads = [
  "case",
  `${a} ops/s`,
  `${b} ops/s`,
  "ratio",
  "round by round",
  "p99 ms",
  "CPU µs/op",
];
printTable([...heads, "to land / goal", ""], rows);
