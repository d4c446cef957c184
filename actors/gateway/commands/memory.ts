/** MEMORY: what the tables take. USAGE, of one key, runs where the key is. */
import { containerCommand, type NodeCommand, nodeCommand, sessionCommand } from "../../command.ts";
import { memoryUsage } from "../../vnode/commands/introspection.ts";
import type { WorkerView } from "../../worker/worker-view.ts";

/** A worker's bytes, the most that they were, its keys, and whether it takes no more. */
type MemoryPart = readonly [bytes: number, peakBytes: number, keys: number, isFull: boolean];

function collectMemory(worker: WorkerView): MemoryPart {
  let keys = 0;
  for (const { index } of worker.config.keyspaces) {
    for (const { partition } of worker.vnodes(index)) keys += partition.table.keyCount;
  }
  return [worker.memoryBytes, worker.pool.bytesPeak, keys, worker.memoryLimit.isReached];
}

function total(parts: readonly unknown[]): MemoryPart {
  const all = parts as readonly MemoryPart[];
  return [
    all.reduce((sum, [bytes]) => sum + bytes, 0),
    all.reduce((sum, [, peakBytes]) => sum + peakBytes, 0),
    all.reduce((sum, [, , keys]) => sum + keys, 0),
    all.some(([, , , isFull]) => isFull),
  ];
}

/** A MEMORY subcommand about the whole node. */
function about(
  facts: Pick<NodeCommand, "name" | "summary">,
  answer: NodeCommand["answer"],
): NodeCommand {
  return nodeCommand({
    ...facts,
    arity: 2,
    flags: [],
    group: "server",
    since: "4.0.0",
    complexity: "O(P) with P being the number of partitions",
    isPerWorker: true,
    collect: collectMemory,
    answer,
  });
}

const stats = about(
  { name: "MEMORY|STATS", summary: "Returns details about memory usage." },
  (client, _request, parts, reply) => {
    const [bytes, peakBytes, keys] = total(parts);
    const rss = client.worker.process.rssBytes();
    const numbers: readonly (readonly [string, number])[] = [
      ["peak.allocated", peakBytes],
      ["total.allocated", bytes],
      ["startup.allocated", 0],
      ["replication.backlog", 0],
      ["clients.slaves", 0],
      ["clients.normal", 0],
      ["cluster.links", 0],
      ["aof.buffer", 0],
      ["lua.caches", 0],
      ["functions.caches", 0],
      ["overhead.total", 0],
      ["keys.count", keys],
      ["keys.bytes-per-key", keys === 0 ? 0 : Math.floor(bytes / keys)],
      ["dataset.bytes", bytes],
    ];
    const ratios: readonly (readonly [string, number])[] = [
      ["dataset.percentage", 100],
      ["peak.percentage", (bytes / Math.max(1, peakBytes)) * 100],
      ["fragmentation", rss / Math.max(1, bytes)],
    ];
    reply.map(numbers.length + ratios.length + 1);
    for (const [name, value] of numbers) {
      reply.bulkText(name);
      reply.integer(value);
    }
    for (const [name, value] of ratios) {
      reply.bulkText(name);
      reply.double(value);
    }
    reply.bulkText("fragmentation.bytes");
    reply.integer(Math.max(0, rss - bytes));
  },
);

const FULL =
  "Writes are refused on a worker that has reached its share of maxmemory, holes between values included. Raise memory.bytesMax in cluster.config.json, or delete keys.\n";

const doctor = about(
  { name: "MEMORY|DOCTOR", summary: "Outputs a memory problems report." },
  (client, _request, parts, reply) => {
    const [bytes, , , isFull] = total(parts);
    const limit = Number(client.worker.parameters.find("maxmemory")?.get() ?? 0);
    const share = limit === 0 ? 0 : Math.round((100 * bytes) / limit);
    if (isFull) {
      reply.verbatim("txt", FULL);
      return;
    }
    reply.verbatim(
      "txt",
      share < 90
        ? `Nothing to report: the tables take ${share} % of the memory that they may take.\n`
        : `The tables take ${share} % of maxmemory: writes are refused when it is full. Raise memory.bytesMax in cluster.config.json, or delete keys.\n`,
    );
  },
);

const mallocStats = about(
  { name: "MEMORY|MALLOC-STATS", summary: "Returns the allocator statistics." },
  (_client, _request, parts, reply) => {
    const lines = (parts as readonly MemoryPart[]).map(
      ([bytes, , keys], worker) => `worker ${worker}: ${bytes} bytes of slabs for ${keys} keys\n`,
    );
    reply.verbatim("txt", lines.join(""));
  },
);

const purge = sessionCommand({
  name: "MEMORY|PURGE",
  arity: 2,
  flags: [],
  group: "server",
  since: "4.0.0",
  summary: "Asks the allocator to release memory; tables give free slabs back by themselves.",
  complexity: "O(1)",
  execute: (_client, _request, reply) => reply.ok(),
});

const memory = containerCommand({
  name: "MEMORY",
  group: "server",
  since: "4.0.0",
  summary: "A container for memory diagnostics commands.",
  complexity: "Depends on subcommand.",
  subcommands: [memoryUsage, stats, doctor, purge, mallocStats],
});

export const memoryCommands = [memory];
