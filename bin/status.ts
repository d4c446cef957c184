/**
 * `coterie status`: asks a node's admin port and prints a short table.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { NodeStatus } from "../actors/node-api.ts";
import { reachable, readPage } from "../actors/supervisor/admin-pages.ts";
import { CoterieError } from "../runtime/base/errors.ts";
import { formatBytes } from "../runtime/config/shape.ts";
import type { NodeConfig } from "../runtime/config.ts";
import { portRange } from "./banner.ts";

/** How long a node has to answer. */
const ANSWER_TIMEOUT_MS = 3000;

/** Longest answer that is read. */
const ANSWER_BYTES_MAX = 1024 * 1024;

/** The fields that are shown, by what they must be: whatever answers may be no node. */
const TEXTS = ["name", "cluster", "nodeId", "version", "state", "dataFolder"] as const;
const NUMBERS = [
  "pid",
  "uptimeSeconds",
  "keys",
  "memoryBytes",
  "memoryBytesMax",
  "clients",
  "clientsMax",
  "commands",
] as const;
const WORKER_NUMBERS = [
  "index",
  "keys",
  "clients",
  "memoryBytes",
  "restarts",
  "longestTurnMs",
] as const;

function isStatus(value: unknown): value is NodeStatus {
  const isObject = (part: unknown) => typeof part === "object" && part !== null;
  const has = (part: object, type: string, names: readonly string[]) => {
    return names.every((name) => typeof Reflect.get(part, name) === type);
  };
  if (!isObject(value)) return false;
  const status = value as NodeStatus;
  return (
    has(status, "string", TEXTS) &&
    has(status, "number", NUMBERS) &&
    isObject(status.writes) &&
    isObject(status.ports) &&
    Array.isArray(status.ports.direct) &&
    Array.isArray(status.workers) &&
    status.workers.every((worker) => isObject(worker) && has(worker, "number", WORKER_NUMBERS))
  );
}

/** The admin port: from the configuration, or where that is 0 from the running node's ports.json. */
function adminPort({ self, dataFolder }: NodeConfig): number {
  if (self.ports.admin !== 0) return self.ports.admin;
  const path = join(dataFolder, "ports.json");
  try {
    const { admin } = JSON.parse(readFileSync(path, "utf8")) as { admin?: unknown };
    if (typeof admin === "number") return admin;
  } catch {
    // Said below: whatever the reason, the port is not known.
  }
  const message = `the ports are chosen at each start, and ${path} does not say them: no node runs on this data folder`;
  throw new CoterieError("NODE_UNREACHABLE", message, { detail: { path } });
}

/** Asks the node. Throws NODE_UNREACHABLE if nothing answers, or something else does. */
export async function fetchStatus(config: NodeConfig): Promise<NodeStatus> {
  const host = reachable(config.adminBind);
  const port = adminPort(config);
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const fail = (what: string, cause?: unknown) => {
    const message = `${what} at ${address} (admin port). Is the node running? Start it with: coterie start. On other ports: --port P or --admin-port PORT`;
    return new CoterieError("NODE_UNREACHABLE", message, { detail: { address }, cause });
  };
  const foreign = "something that is no Coterie node answers";
  try {
    const limits = { timeoutMs: ANSWER_TIMEOUT_MS, bytesMax: ANSWER_BYTES_MAX };
    const status: unknown = JSON.parse(await readPage({ host, port, path: "/status", ...limits }));
    if (isStatus(status)) return status;
  } catch (error) {
    const isNoHttp = error instanceof Error && /^HPE_/.test(String(Reflect.get(error, "code")));
    if (error instanceof SyntaxError || isNoHttp) throw fail(foreign, error);
    const late = error instanceof Error && error.name === "AbortError";
    throw fail(late ? `no answer within ${ANSWER_TIMEOUT_MS} ms` : "nothing answers", error);
  }
  throw fail(foreign);
}

function duration(seconds: number): string {
  const days = Math.floor(seconds / 86_400);
  const clock = new Date((seconds % 86_400) * 1000).toISOString().slice(11, 19);
  return days === 0 ? clock : `${days}d ${clock}`;
}

function megabytes(bytes: number): string {
  return bytes < 1024 * 1024 ? formatBytes(bytes) : `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

/** The table that people read. */
export function statusText(status: NodeStatus): string {
  const { writes } = status;
  const rows: (readonly [string, string])[] = [
    ["node", `${status.name} (${status.nodeId}) of ${status.cluster}`],
    ["state", status.state],
    ["version", status.version],
    ["pid", `${status.pid}, up ${duration(status.uptimeSeconds)}`],
    ["ports", `gateway ${status.ports.gateway}, direct ${portRange(status.ports.direct)}`],
    ["data", status.dataFolder],
    ["keys", String(status.keys)],
    ["memory", `${megabytes(status.memoryBytes)} of ${megabytes(status.memoryBytesMax)}`],
    ["clients", `${status.clients} of ${status.clientsMax}`],
    ["commands", String(status.commands)],
    ["writes", writes.accepted ? "accepted" : `refused: ${writes.reason ?? "no reason given"}`],
  ];
  const lines = rows.map(([name, text]) => `${name.padEnd(10)}${text}`);
  const head = ["worker", "state", "keys", "clients", "memory", "restarts", "longest turn"];
  const table = status.workers.map((worker) => [
    String(worker.index),
    worker.state,
    String(worker.keys),
    String(worker.clients),
    megabytes(worker.memoryBytes),
    String(worker.restarts),
    `${worker.longestTurnMs.toFixed(1)} ms`,
  ]);
  const cells = [head, ...table].map((row) =>
    row
      .map((cell) => cell.padEnd(10))
      .join("")
      .trimEnd(),
  );
  return [...lines, "", ...cells, ""].map(printable).join("\n");
}

/** A line without what a terminal would act on: some of it comes from whoever answers. */
function printable(line: string): string {
  return line.replace(/\p{Cc}/gu, "?");
}
