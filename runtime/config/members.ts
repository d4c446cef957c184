/**
 * Nodes of a checked configuration: their ports and addresses. Pure.
 *
 * Invariant: a member's ports are all 0 (any free one), or all valid and distinct.
 */
import type { MachineFacts } from "../base/machine.ts";
import { DERIVED_WORKERS_MAX, derivePorts, type NodeMember, type NodePorts } from "../config.ts";
import type { Checked, CheckedValue, Problem } from "./check.ts";
import type { FlagName } from "./flags.ts";

/** Lowest gateway port from which every other can be derived. */
const DERIVING_PORT_MIN = 80;
const PORT_MAX = 65_535;

interface MemberInput {
  readonly entry: Checked;
  /** Flags of this start; empty for other nodes. */
  readonly values: Readonly<Partial<Record<FlagName, CheckedValue>>>;
  readonly machine: MachineFacts;
  /** Where the gateway port was given, for messages. */
  readonly path: string;
  readonly workersPath: string;
  readonly problems: Problem[];
}

/** Works out one node's ports and adds what is wrong with them. */
export function resolveMember(input: MemberInput): NodeMember {
  const { entry, values, problems } = input;
  const port = Number(values.port ?? entry.port);
  const workers = workersOf(input);
  const ports = portsOf(input, port, workers);
  const needsBases = workers > DERIVED_WORKERS_MAX && port !== 0;
  if (needsBases && (entry.directPort === undefined || entry.linkPort === undefined)) {
    const message = `${workers} workers: ports are derived for up to ${DERIVED_WORKERS_MAX}; give directPort and linkPort`;
    problems.push({ path: input.workersPath, message });
  } else checkPorts(input, ports);
  return {
    name: String(entry.name),
    host: String(values.host ?? entry.host),
    ports,
    rack: String(entry.rack),
  };
}

function workersOf({ entry, values, machine }: MemberInput): number {
  const workers = values.workers ?? entry.workers;
  if (typeof workers === "number") return workers;
  return Math.min(DERIVED_WORKERS_MAX, Math.max(1, machine.cores - 1));
}

function portsOf({ entry, values }: MemberInput, port: number, workers: number): NodePorts {
  const derived = derivePorts({ port, workers });
  if (port === 0) {
    // Free ports, whatever the file says; but who gives a port beside --port 0 means it.
    const admin = values["admin-port"];
    return admin === undefined ? derived : { ...derived, admin: Number(admin) };
  }
  const run = (first: CheckedValue, ports: readonly number[]) =>
    typeof first === "number" ? ports.map((_, i) => (first === 0 ? 0 : first + i)) : ports;
  return {
    gateway: port,
    direct: run(entry.directPort, derived.direct),
    admin: Number(values["admin-port"] ?? entry.adminPort ?? derived.admin),
    control: Number(entry.controlPort ?? derived.control),
    links: run(entry.linkPort, derived.links),
  };
}

/** All ports of a node, gateway first. */
export function allPorts(ports: NodePorts): number[] {
  return [ports.gateway, ...ports.direct, ports.admin, ports.control, ...ports.links];
}

/** Ports, other than 0, that both name. */
export function samePorts(left: NodePorts, right: NodePorts): number[] {
  const taken = new Set(allPorts(right));
  return allPorts(left).filter((port) => port !== 0 && taken.has(port));
}

function checkPorts({ path, problems }: MemberInput, ports: NodePorts): void {
  const all = allPorts(ports);
  const { gateway, control } = ports;
  // One below the smallest, the control port would be 0: any free one.
  const isAny = gateway === DERIVING_PORT_MIN - 1 && control === 0;
  const wrong = isAny ? control : all.find((port) => port < 0 || port > PORT_MAX);
  if (wrong !== undefined) {
    const max = PORT_MAX - ports.direct.length;
    const message = `${gateway} leaves no room for the ports derived from it (${wrong} would be one); take ${DERIVING_PORT_MIN} to ${max}`;
    problems.push({ path, message });
    return;
  }
  const twice = all.find((port, i) => port !== 0 && all.indexOf(port) !== i);
  if (twice === undefined) return;
  problems.push({ path, message: `two of the node's ports would be ${twice}; they must differ` });
}

/** Whether only this machine can reach the address. */
export function isLoopback(address: string): boolean {
  const host = address.toLowerCase();
  return (
    host === "localhost" || host === "::1" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host)
  );
}
