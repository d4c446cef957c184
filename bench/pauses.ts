/**
 * `npm run bench:pauses`: ten million keys are loaded and served; says the longest turn (CPU time of
 * the thread) and the longest garbage collection of each thread of the node, phase by phase, and then
 * the longest turns of two processes that serve nobody and hold as much memory: the machine's share.
 *
 * The node runs with turn-probe.ts preloaded. Its young generation, slabs and flags are those of
 * any node.
 */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { seeded } from "../runtime/base/prng.ts";
import type { ControlClient } from "./control-client.ts";
import { type LoadResult, mustRun } from "./driver.ts";
import { printMachine, printTable, readFlags, say, thousands } from "./report.ts";
import {
  type RunningServer,
  type Servers,
  serverChoices,
  settingsOf,
  withServers,
} from "./servers.ts";
import type { ProbeLine } from "./turn-probe.ts";
import { CommandTemplate, inSequence, KEY, mixed, repeated, textOf, uniform } from "./workload.ts";

const flags = readFlags("npm run bench:pauses -- [flags]", {
  servers: "coterie",
  keys: "10000000",
  value: "64",
  seconds: "10",
  durability: "os",
  workers: "1",
  connections: "50",
});

/** The probe speaks once a second: a phase is over when it has done so again. */
const PROBE_MS = 1200;
const COLLECTION_KINDS: Readonly<Record<number, string>> = {
  1: "young",
  4: "full",
  16: "weak",
};

/** A stretch of the run, and what the client saw in it. */
interface Phase {
  readonly name: string;
  readonly fromMs: number;
  readonly toMs: number;
  /** None where nobody is served. */
  readonly load?: LoadResult;
}

/** One for each core that a node of one worker and its clients keep busy. */
const BARE_PROCESSES = 2;
/** In which a bare process has taken its memory. */
const BARE_TAKES_MS = 10_000;

const run = promisify(execFile);
const probe = pathToFileURL(join(import.meta.dirname, "turn-probe.ts")).href;
const keys = flags.number("keys");
const get = new CommandTemplate("GET", KEY);
const set = new CommandTemplate("SET", KEY, textOf(flags.number("value")));

/** Runs a load as a phase of its own: nothing of its neighbours falls into its seconds. */
async function phase(name: string, run: () => Promise<LoadResult>): Promise<Phase> {
  await sleep(PROBE_MS);
  const fromMs = Date.now();
  const load = await run();
  const toMs = Date.now() + PROBE_MS;
  await sleep(PROBE_MS);
  say(`${name}: ${thousands(load.opsPerSecond)} ops/s`);
  return { name, fromMs, toMs, load };
}

function serve(server: RunningServer, pipeline: number): Promise<LoadResult> {
  const random = seeded(pipeline);
  return mustRun({
    port: server.port,
    connections: flags.number("connections"),
    pipeline,
    workload: mixed(0.8, get, set, uniform(keys, random), random),
    seconds: flags.number("seconds"),
  });
}

async function phasesOf(server: RunningServer, client: ControlClient): Promise<Phase[]> {
  const { port } = server;
  const connections = flags.number("connections");
  const fill = () => {
    const workload = repeated(set, inSequence(keys));
    return mustRun({ port, connections, pipeline: 16, workload, requests: keys });
  };
  const phases = [
    await phase(`load ${thousands(keys)} keys`, fill),
    await phase("serve, P=16", () => serve(server, 16)),
    await phase("serve, P=1", () => serve(server, 1)),
  ];
  const held = await client.run("DBSIZE");
  if (held !== keys) throw new Error(`${held} keys, not ${keys}`);
  const save = async () => {
    await client.run("BGSAVE");
    return serve(server, 16);
  };
  phases.push(await phase("BGSAVE and serve, P=16", save));
  return phases;
}

/**
 * Bare processes, one a core, each with as much memory as the node: the first seconds, in which they
 * take it, and then.
 */
async function bareRows(servers: Servers, megabytes: number): Promise<string[][]> {
  const seconds = flags.number("seconds");
  const entry = join(import.meta.dirname, "bare-memory.ts");
  const beganMs = Date.now();
  const fromMs = beganMs + BARE_TAKES_MS;
  const toMs = fromMs + seconds * 1000;
  const lasts = Math.ceil(seconds + BARE_TAKES_MS / 1000);
  const words = ["--import", probe, entry, megabytes.toFixed(0), String(lasts)];
  const folders = Array.from({ length: BARE_PROCESSES }, () => servers.folder());
  const runs = folders.map((folder) => {
    return run(process.execPath, words, { env: { ...process.env, BENCH_PROBE_FOLDER: folder } });
  });
  await Promise.all(runs);
  return folders.flatMap((folder, i) => {
    const lines = readProbe(folder).get("main") ?? [];
    const thread = String(i + 1);
    return [
      rowOf(thread, lines, { name: "bare, takes as much memory", fromMs: beganMs, toMs: fromMs }),
      rowOf(thread, lines, { name: "bare, same memory", fromMs, toMs }),
    ];
  });
}

/** What each thread said, by the name of its file. */
function readProbe(folder: string): Map<string, ProbeLine[]> {
  const threads = new Map<string, ProbeLine[]>();
  for (const file of readdirSync(folder).sort()) {
    const lines = readFileSync(join(folder, file), "utf8").split("\n").filter(Boolean);
    const name = file === "thread-0.jsonl" ? "main" : file.replace(".jsonl", "").replace("-", " ");
    threads.set(
      name,
      lines.map((line) => JSON.parse(line) as ProbeLine),
    );
  }
  return threads;
}

function rowOf(thread: string, lines: readonly ProbeLine[], { name, fromMs, toMs, load }: Phase) {
  // A line speaks of the second before it: the first after `fromMs` may reach back behind it.
  const during = lines.filter(({ atMs }) => atMs > fromMs && atMs <= toMs);
  const most = (of: (line: ProbeLine) => number) => Math.max(0, ...during.map(of));
  const collection = during.toSorted((a, b) => b.longestCollectionMs - a.longestCollectionMs)[0];
  const kind = COLLECTION_KINDS[collection?.longestKind ?? 0] ?? "none";
  return [
    name,
    thread,
    most(({ longestTurnMs }) => longestTurnMs).toFixed(2),
    `${(collection?.longestCollectionMs ?? 0).toFixed(2)} ${kind}`,
    String(during.reduce((sum, { collections }) => sum + collections, 0)),
    load === undefined ? "-" : thousands(load.opsPerSecond),
    load?.latencyMs(0.99).toFixed(2) ?? "-",
    load?.latencyMs(1).toFixed(2) ?? "-",
  ];
}

printMachine(`bench:pauses, ${thousands(keys)} keys`);
await withServers(async (servers) => {
  const folder = servers.folder();
  const [choice] = serverChoices(flags.list("servers"));
  if (choice?.kind !== "coterie") throw new Error("only coterie's turns can be measured");
  const { server, client } = await servers.start({
    ...choice,
    words: settingsOf("coterie", flags.text("durability"), flags.text("workers")),
    execArgv: ["--import", probe],
    env: { BENCH_PROBE_FOLDER: folder },
  });
  const phases = await phasesOf(server, client);
  const megabytes = server.residentBytes() / 2 ** 20;
  const threads = readProbe(folder);
  if (threads.size < 2) throw new Error("the workers' probes said nothing");
  const rows = phases.flatMap((each) => {
    return [...threads].map(([thread, lines]) => rowOf(thread, lines, each));
  });
  await server.stop();
  rows.push(...(await bareRows(servers, megabytes)));
  const heads = ["phase", "thread", "longest turn ms", "longest GC ms", "GCs"];
  printTable([...heads, "ops/s", "client p99 ms", "client max ms"], rows);
  process.stdout.write(`\nResident at the end: ${megabytes.toFixed(0)} MiB.\n`);
});
process.stdout.write("To land: no turn (CPU time) and no GC pause over 10 ms.\n");
