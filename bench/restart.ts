/**
 * `npm run bench:restart`: from the start of the process to the first correct GET, with a million
 * keys: after a clean stop, and after kill -9 with the last tenth of them only in the log.
 *
 * The folder is made once and copied for each round, so that every round starts from the same
 * bytes; they are in the page cache. Beside it redis-server: from its RDB file after SAVE, and from
 * its append-only file, rewritten before the last tenth.
 */
import { spawnSync } from "node:child_process";
import { cpSync, lstatSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { ControlClient } from "./control-client.ts";
import { mustRun } from "./driver.ts";
import { median, printMachine, printTable, range, readFlags, say, thousands } from "./report.ts";
import {
  type RunningServer,
  type ServerChoice,
  type Servers,
  serverChoices,
  settingsOf,
  withServers,
} from "./servers.ts";
import { CommandTemplate, inSequence, KEY, repeated, textOf } from "./workload.ts";

const flags = readFlags("npm run bench:restart -- [flags]", {
  servers: "coterie,redis",
  keys: "1000000",
  tail: "0.1",
  value: "64",
  durability: "os",
  workers: "1",
  rounds: "3",
});

/** How long a snapshot and a start may take. */
const SNAPSHOT_SECONDS_MAX = 300;
const START_MS_MAX = 120_000;
/** Keys that are read once more after the first answer. */
const CHECKED = 1000;
const READY_POLL_MS = 10;

const keys = flags.number("keys");
const value = textOf(flags.number("value"));

/** A way to end, and to begin again. */
interface Scenario {
  readonly choice: ServerChoice;
  readonly title: string;
  readonly words: readonly string[];
  /** Leaves the data as the scenario wants it and ends the server. */
  end(server: RunningServer, client: ControlClient): Promise<void>;
}

async function load(port: number, from: number, count: number): Promise<void> {
  const set = new CommandTemplate("SET", KEY, value);
  const workload = repeated(set, inSequence(count, from));
  await mustRun({ port, connections: 50, pipeline: 16, workload, requests: count });
}

/** Waits until a background save or rewrite has ended. */
async function idle(client: ControlClient, ...fields: readonly string[]): Promise<void> {
  for (let waited = 0; waited < SNAPSHOT_SECONDS_MAX * 5; waited++) {
    await sleep(200);
    const values: (string | undefined)[] = [];
    for (const field of fields) values.push(await client.info(field));
    if (values.every((text) => text === "0")) return;
  }
  throw new Error(`still ${fields} after ${SNAPSHOT_SECONDS_MAX} s`);
}

const tail = Math.round(keys * flags.number("tail"));

function coterieScenarios(choice: ServerChoice): Scenario[] {
  const words = settingsOf("coterie", flags.text("durability"), flags.text("workers"));
  return [
    {
      choice,
      title: "clean stop",
      words,
      async end(server) {
        await load(server.port, 0, keys);
        await server.stop();
      },
    },
    {
      choice,
      title: `kill -9, last ${thousands(tail)} in the log`,
      words,
      async end(server, client) {
        await load(server.port, 0, keys - tail);
        await client.run("BGSAVE");
        await idle(client, "rdb_bgsave_in_progress");
        await load(server.port, keys - tail, tail);
        const logged = await client.info("rdb_changes_since_last_save");
        if (logged !== String(tail)) throw new Error(`${logged} ops are in the log, not ${tail}`);
        await server.kill();
      },
    },
  ];
}

function redisScenarios(choice: ServerChoice): Scenario[] {
  return [
    {
      choice,
      title: "RDB",
      words: settingsOf("redis", "os"),
      async end(server, client) {
        await load(server.port, 0, keys);
        await client.run("SAVE");
        await server.stop();
      },
    },
    {
      choice,
      title: `kill -9, AOF, last ${thousands(tail)} appended`,
      words: settingsOf("redis", "interval"),
      async end(server, client) {
        await load(server.port, 0, keys - tail);
        // The file has grown past redis-server's own mark: a rewrite of its own may be running.
        const rewrites = ["aof_rewrite_in_progress", "aof_rewrite_scheduled"];
        await idle(client, ...rewrites);
        await client.run("BGREWRITEAOF");
        await idle(client, ...rewrites);
        await load(server.port, keys - tail, tail);
        await sleep(1500); // everysec: what a crash may lose is not what is measured
        await server.kill();
      },
    },
  ];
}

function keyOf(number: number): string {
  return `key:${String(number).padStart(12, "0")}`;
}

/** Milliseconds from the start of the process to the right value of the key written last. */
async function firstCorrectGet(server: RunningServer): Promise<number> {
  const key = keyOf(keys - 1);
  while (performance.now() - server.startedAtMs < START_MS_MAX) {
    server.assertAlive();
    let client: ControlClient | undefined;
    try {
      client = await ControlClient.connect(server.port);
      while ((await client.run("GET", key)) !== value) await sleep(READY_POLL_MS);
      return performance.now() - server.startedAtMs;
    } catch {
      await sleep(READY_POLL_MS); // refused, or -LOADING
    } finally {
      client?.close();
    }
  }
  throw new Error(`${server.name} has no right answer after ${START_MS_MAX} ms`);
}

/** Fails unless every key is back, by count and, for some, by value. */
async function check(client: ControlClient): Promise<void> {
  const held = await client.run("DBSIZE");
  if (held !== keys) throw new Error(`${held} keys are back, not ${keys}`);
  for (let i = 0; i < CHECKED; i++) {
    const key = keyOf(Math.floor((i * keys) / CHECKED));
    if ((await client.run("GET", key)) !== value) throw new Error(`${key} is wrong`);
  }
}

async function measure(servers: Servers, scenario: Scenario, original: string): Promise<number> {
  const folder = servers.folder();
  cpSync(original, folder, {
    recursive: true,
    filter: (path) => lstatSync(path).isFile() || lstatSync(path).isDirectory(),
  });
  // What was copied is not written back while the start is measured.
  spawnSync("sync");
  const { choice, words } = scenario;
  const server = await servers.launch({ ...choice, words, folder });
  const ms = await firstCorrectGet(server);
  const client = await server.ready();
  await check(client);
  client.close();
  await server.kill();
  rmSync(folder, { recursive: true });
  return ms;
}

printMachine(`bench:restart, ${thousands(keys)} keys, durability ${flags.text("durability")}`);
const scenarios = serverChoices(flags.list("servers")).flatMap((choice) => {
  return choice.kind === "coterie" ? coterieScenarios(choice) : redisScenarios(choice);
});
await withServers(async (servers) => {
  const originals: string[] = [];
  for (const { choice, title, words, end } of scenarios) {
    const { server, client } = await servers.start({ ...choice, words });
    await end(server, client);
    client.close();
    originals.push(server.folder);
    say(`${choice.name}, ${title}: loaded`);
  }
  const times: number[][] = scenarios.map(() => []);
  for (let round = 0; round < flags.number("rounds"); round++) {
    for (const [i, scenario] of scenarios.entries()) {
      times[i]?.push(await measure(servers, scenario, originals[i] ?? ""));
    }
  }
  const rows = scenarios.map(({ choice, title }, i) => {
    const each = (times[i] ?? []).map((ms) => ms / 1000);
    return [`${choice.name}: ${title}`, median(each).toFixed(2), range(each)];
  });
  printTable(["start after", "seconds (median)", "rounds"], rows);
});
process.stdout.write("\nTo land: at most 1.5 s both ways; the goal is 0.97 s.\n");
