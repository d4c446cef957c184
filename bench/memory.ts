/**
 * `npm run bench:memory`: bytes a key, of both servers: the resident memory with a million keys (16
 * bytes, values of 64) minus that with a thousand keys after the same traffic, over the difference.
 *
 * Both servers of a pair take the same million SETs, so what traffic leaves behind (heaps that
 * have grown, compiled code, buffers) cancels out. Each runs alone.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { mustRun } from "./driver.ts";
import { median, printMachine, printTable, readFlags, thousands } from "./report.ts";
import { type ServerChoice, serverChoices, settingsOf, withServers } from "./servers.ts";
import { CommandTemplate, inSequence, KEY, repeated, textOf } from "./workload.ts";

const flags = readFlags("npm run bench:memory -- [flags]", {
  servers: "coterie,redis",
  keys: "1000000",
  few: "1000",
  value: "64",
  durability: "os",
  rounds: "1",
});

/** Resident memory has settled when it moves less than this in a second. */
const SETTLED_BYTES = 256 * 1024;
const SETTLE_SECONDS_MAX = 20;

/** Resident bytes of a fresh server that got `traffic` SETs over this many keys. */
async function residentAfter(choice: ServerChoice, keys: number, traffic: number): Promise<number> {
  let bytes = Number.NaN;
  await withServers(async (servers) => {
    const words = settingsOf(choice.kind, flags.text("durability"));
    const { server, client } = await servers.start({ ...choice, words });
    const set = new CommandTemplate("SET", KEY, textOf(flags.number("value")));
    const workload = repeated(set, inSequence(keys));
    await mustRun({
      port: server.port,
      connections: 50,
      pipeline: 16,
      workload,
      requests: traffic,
    });
    const held = await client.run("DBSIZE");
    if (held !== keys) throw new Error(`${choice.name} holds ${held} keys, not ${keys}`);
    bytes = server.residentBytes();
    for (let second = 0; second < SETTLE_SECONDS_MAX; second++) {
      await sleep(1000);
      const before = bytes;
      bytes = server.residentBytes();
      if (Math.abs(bytes - before) < SETTLED_BYTES) break;
    }
  });
  return bytes;
}

const keys = flags.number("keys");
const few = flags.number("few");
printMachine(`bench:memory, ${thousands(keys)} keys against ${thousands(few)}`);
const rows: string[][] = [];
for (const choice of serverChoices(flags.list("servers"))) {
  const perKey: number[] = [];
  const many: number[] = [];
  const little: number[] = [];
  for (let round = 0; round < flags.number("rounds"); round++) {
    const low = await residentAfter(choice, few, keys);
    const high = await residentAfter(choice, keys, keys);
    little.push(low);
    many.push(high);
    perKey.push((high - low) / (keys - few));
  }
  const megabytes = (values: readonly number[]) => (median(values) / 2 ** 20).toFixed(1);
  rows.push([choice.name, megabytes(many), megabytes(little), median(perKey).toFixed(1)]);
}
const heads = ["server", `MiB at ${thousands(keys)}`, `MiB at ${thousands(few)}`, "bytes a key"];
printTable(heads, rows);
process.stdout.write("\nTo land: at most 130 bytes a key; the goal is 126.\n");
