/**
 * `coterie status`: asks a node's admin port and prints a short table.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { NodeStatus } from "../actors/node-api.ts";
import { CoterieError } from "../runtime/base/errors.ts";
import { formatBytes } from "../runtime/config/shape.ts";
import type { NodeConfig } from "../runtime/config.ts";
import { portRange } from "./banner.ts";

/** How long a node has to answer. */
const ANSWER_TIMEOUT_MS = 3000;

function hostOf(address: string): string {
  if (address === "0.0.0.0") return "127.0.0.1";
  if (address === "::") return "[::1]";
  return address.includes(":") && !address.startsWith("[") ? `[${address}]` : address;
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
  const address = `${hostOf(config.adminBind)}:${adminPort(config)}`;
  const fail = (what: string, cause?: unknown) => {
    const message = `${what} at ${address} (admin port). Is the node running? Start it with: coterie start. On other ports: --port P or --admin-port PORT`;
    return new CoterieError("NODE_UNREACHABLE", message, { detail: { address }, cause });
  };
  let status: NodeStatus;
  try {
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
    const response = await fetch(`http://${address}/status`, { signal });
    status = (await response.json()) as NodeStatus;
  } catch (error) {
    if (error instanceof SyntaxError)
      throw fail("something that is no Coterie node answers", error);
    const late = error instanceof Error && error.name === "TimeoutError";
    throw fail(late ? `no answer within ${ANSWER_TIMEOUT_MS} ms` : "nothing answers", error);
  }
  if (typeof status?.nodeId !== "string" || typeof status.state !== "string") {
    throw fail("something that is no Coterie node answers");
  }
  return status;
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
  return [...lines, "", ...cells, ""].join("\n");
}
