/**
 * What a started node says about itself: for people, or as one JSON line. Pure.
 */
import type { RunningNode } from "../actors/node-api.ts";
import type { KeyspaceConfig, NodeConfig } from "../runtime/config.ts";

export interface BannerFacts {
  readonly config: NodeConfig;
  readonly node: RunningNode;
  readonly pid: number;
}

/** "7380-7382", "7380", or a list where the ports are not in a row. */
export function portRange(ports: readonly number[]): string {
  const first = ports[0];
  const last = ports.at(-1);
  if (first === undefined || last === undefined) return "none";
  const inRow = ports.every((port, index) => port === first + index);
  if (ports.length > 1 && inRow) return `${first}-${last}`;
  return ports.join(", ");
}

function durabilityOf(keyspaces: readonly KeyspaceConfig[]): string {
  const first = keyspaces[0]?.durability ?? "always";
  const others = keyspaces.filter(({ durability }) => durability !== first);
  const named = others.map(({ name, durability }) => `${name}: ${durability}`);
  return named.length === 0 ? first : `${first} (${named.join(", ")})`;
}

const DURABILITY_WORDS: Readonly<Record<string, string>> = {
  always: "always: acknowledged after fdatasync",
  interval: "interval: a power loss may take the last moments",
  os: "os: a power loss may take what the system had not written yet",
};

/** Whether an address means every interface. */
function anywhere(address: string): boolean {
  return address === "0.0.0.0" || address === "::";
}

function redisCli({ config, node }: BannerFacts): string {
  const host = anywhere(config.bind) ? "127.0.0.1" : config.bind;
  const local = host === "127.0.0.1" || host === "localhost";
  const password = config.security.password === undefined ? "" : " --askpass";
  return `redis-cli${local ? "" : ` -h ${host}`} -p ${node.ports.gateway}${password}`;
}

/** A short banner; the last line is a command to paste. */
export function bannerText(facts: BannerFacts): string {
  const { config, node, pid } = facts;
  const { ports, recovery } = node;
  const durability = durabilityOf(config.keyspaces);
  const seconds = (recovery.durationMs / 1000).toFixed(2);
  const torn = recovery.tornBytes === 0 ? "" : `, torn tail of ${recovery.tornBytes} bytes dropped`;
  const lines = [
    ["gateway", `${config.bind}:${ports.gateway}`],
    ["direct", `${portRange(ports.direct)} (one a worker)`],
    ["admin", `http://${config.adminBind}:${ports.admin}`],
    ["data", node.dataFolder],
    ["durability", DURABILITY_WORDS[durability] ?? durability],
    ["recovered", `${recovery.keys} keys in ${seconds} s${torn}`],
  ];
  const head = `Coterie ${node.version}  node ${config.self.name} (${node.nodeId})  pid ${pid}`;
  const body = lines.map(([name = "", text = ""]) => `  ${name.padEnd(11)}${text}`);
  return [head, ...body, "", `  ${redisCli(facts)}`, "", ""].join("\n");
}

/** The same as one JSON object. */
export function bannerLine({ config, node, pid }: BannerFacts): string {
  return `${JSON.stringify({
    level: "info",
    event: "started",
    version: node.version,
    node: config.self.name,
    nodeId: node.nodeId,
    pid,
    ports: node.ports,
    dataFolder: node.dataFolder,
    durability: durabilityOf(config.keyspaces),
    recovery: node.recovery,
  })}\n`;
}
