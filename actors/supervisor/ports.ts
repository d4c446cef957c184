/**
 * The ports of a node at its start: which are free, which are taken and by whom.
 *
 * Each is bound exclusively once and let go: with `reusePort` alone two nodes would share the
 * gateway's port silently. What asks for port 0 gets a free one.
 */

import { createServer, type Server } from "node:net";
import { CoterieError } from "../../runtime/base/errors.ts";
import type { NodeConfig, NodePorts } from "../../runtime/config.ts";
import { portOf } from "../gateway/listener.ts";
import type { Liveness } from "../node-api.ts";
import { reachable, readPage } from "./admin-pages.ts";

// limits:
/** How long another process on the admin port has to say whether it is a node. */
export const IDENTIFY_TIMEOUT_MS = 1_000;
/** Longest answer of it that is read. */
export const IDENTIFY_BYTES_MAX = 16 * 1024;

/** A port that a node wants, in words for errors. */
interface Wanted {
  readonly port: number;
  readonly host: string;
  readonly what: string;
  /** How to choose another. */
  readonly choice: string;
  /** Ports that this node holds itself: nobody is asked there who it is. */
  readonly own: ReadonlySet<number>;
}

const OTHER_PORT = "--port (every port derives from it)";

/** Finds the ports that workers will listen on. Throws PORT_IN_USE. `admin`: this node's already. */
export async function findPorts(config: NodeConfig, admin: number): Promise<NodePorts> {
  const { gateway, direct, control, links } = config.self.ports;
  const held: Server[] = [];
  const own = new Set([admin]);
  const find = async (what: string, port: number, choice = OTHER_PORT): Promise<number> => {
    const server = await bind({ host: config.bind, port, what, choice, own });
    held.push(server);
    own.add(portOf(server));
    return portOf(server);
  };
  /** Not listened on in this version: only where any free port will do. */
  const later = async (port: number) => (port === 0 ? find("link", 0) : port);
  try {
    const found = {
      gateway: await find("gateway", gateway),
      direct: await inTurn(direct, (port, i) => find(`direct port of worker ${i}`, port)),
      admin,
      control: await later(control),
      links: await inTurn(links, later),
    };
    return found;
  } finally {
    await Promise.all(held.map((server) => new Promise((done) => server.close(done))));
  }
}

async function inTurn(
  ports: readonly number[],
  find: (port: number, index: number) => Promise<number>,
): Promise<number[]> {
  const found: number[] = [];
  for (const [index, port] of ports.entries()) found.push(await find(port, index));
  return found;
}

function bind(wanted: Wanted): Promise<Server> {
  const { host, port } = wanted;
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once("error", (error) => portTaken(error, wanted).then(reject));
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}

/** The error of a port that could not be bound: which, by whom it is held, what to do. */
export async function portTaken(
  error: NodeJS.ErrnoException,
  wanted: Wanted,
): Promise<CoterieError> {
  const { host, port, what, choice, own } = wanted;
  const where = `port ${host.includes(":") ? `[${host}]` : host}:${port} (${what})`;
  const detail = { host, port, what };
  if (error.code !== "EADDRINUSE") {
    const reason = REASONS.get(error.code ?? "") ?? error.message;
    const message = `cannot listen on ${where}: ${reason}; choose another with ${choice}`;
    return new CoterieError("PORT_IN_USE", message, { detail, cause: error });
  }
  // A node's admin port answers for itself; beside a gateway port it is the one below.
  const others = [port, port - 1].filter((one) => !own.has(one));
  const asked = await Promise.all(others.map((one) => identify(host, one)));
  const holder = asked.find((node) => node && Object.values(node.ports).flat().includes(port));
  if (holder === undefined) {
    const message = `${where} is in use by another process: stop that one, or choose another with ${choice}`;
    return new CoterieError("PORT_IN_USE", message, { detail, cause: error });
  }
  const { node, pid, dataFolder } = holder;
  const message = `${where} is in use by Coterie node ${node}, process ${pid}, which serves ${dataFolder}: stop it first (kill ${pid}), or choose another port with ${choice}`;
  const facts = { ...detail, pid, node, dataFolder };
  return new CoterieError("PORT_IN_USE", message, { detail: facts, cause: error });
}

const REASONS: ReadonlyMap<string, string> = new Map([
  ["EACCES", "this user may not bind it"],
  ["EADDRNOTAVAIL", "this machine does not have that address"],
  ["ENOTFOUND", "there is no such host"],
]);

const IDENTIFY = { timeoutMs: IDENTIFY_TIMEOUT_MS, bytesMax: IDENTIFY_BYTES_MAX };

/** Who answers at an admin port, if it is a node. */
async function identify(host: string, port: number): Promise<Liveness | undefined> {
  if (port < 1) return undefined;
  try {
    const page = { host: reachable(host), port, path: "/livez", ...IDENTIFY };
    const value: unknown = JSON.parse(await readPage(page));
    return isLiveness(value) ? value : undefined;
  } catch {
    return undefined; // whatever it is, it is no node
  }
}

function isLiveness(value: unknown): value is Liveness {
  if (typeof value !== "object" || value === null) return false;
  const { coterie, node, pid, dataFolder, ports } = value as Partial<
    Record<keyof Liveness, unknown>
  >;
  return (
    typeof coterie === "string" &&
    typeof node === "string" &&
    Number.isSafeInteger(pid) &&
    typeof dataFolder === "string" &&
    typeof ports === "object" &&
    ports !== null
  );
}
