/** CONFIG: the parameters of every worker, always the same on all of them. */
import { Glob } from "../../../runtime/base/glob.ts";
import type { Request } from "../../../runtime/codec/request.ts";
import { containerCommand, nodeCommand, sessionCommand } from "../../command.ts";
import { SYNTAX_ERROR } from "../../vnode/commands/errors.ts";
import type { Parameters } from "../../worker/parameters.ts";
import { resetCommandStats } from "../../worker/worker-stats.ts";
import type { WorkerView } from "../../worker/worker-view.ts";

const get = sessionCommand({
  name: "CONFIG|GET",
  arity: -3,
  flags: ["admin", "noscript", "loading", "stale"],
  group: "server",
  since: "2.0.0",
  summary: "Returns the effective values of configuration parameters.",
  complexity: "O(N) when N is the number of configuration parameters provided",
  syntax: "parameter [parameter ...]",
  execute(client, request, reply) {
    const { parameters } = client.worker;
    const found = new Set<string>();
    for (let i = 2; i < request.count; i++) findNames(parameters, request, i, found);
    reply.map(found.size);
    for (const name of found) {
      reply.bulkText(name);
      reply.bulkText(parameters.find(name)?.get() ?? "");
    }
  },
});

/** Adds the parameters that argument `i` names, or matches as a pattern. */
function findNames(parameters: Parameters, request: Request, i: number, found: Set<string>): void {
  const wanted = request.text(i).toLowerCase();
  if (!/[*?[]/.test(wanted)) {
    if (parameters.find(wanted) !== undefined) found.add(wanted);
    return;
  }
  const pattern = new Glob(Buffer.from(wanted, "latin1"));
  for (const name of parameters.names()) {
    const bytes = Buffer.from(name, "latin1");
    if (pattern.matches(bytes, 0, bytes.length)) found.add(name);
  }
}

/** Why not every parameter of a CONFIG SET can be set; null: all can. */
function setRefusal(worker: WorkerView, request: Request): string | null {
  if (request.count % 2 !== 0) return SYNTAX_ERROR;
  const seen = new Set<string>();
  for (let i = 2; i < request.count; i += 2) {
    const name = request.text(i).toLowerCase();
    const parameter = worker.parameters.find(name);
    if (parameter === undefined) {
      return `ERR Unknown option or number of arguments for CONFIG SET - '${request.text(i).slice(0, 128)}'`;
    }
    const refusal = seen.has(name) ? "duplicate parameter" : parameter.check(request.text(i + 1));
    if (refusal !== null) {
      return `ERR CONFIG SET failed (possibly related to argument '${name}') - ${refusal}`;
    }
    seen.add(name);
  }
  return null;
}

const set = nodeCommand({
  name: "CONFIG|SET",
  arity: -4,
  flags: ["admin", "noscript", "loading", "stale"],
  group: "server",
  since: "2.0.0",
  summary: "Sets configuration parameters in-flight, until the node stops.",
  complexity: "O(N) when N is the number of configuration parameters provided",
  syntax: "parameter value [parameter value ...]",
  check(client, request, reply) {
    const refusal = setRefusal(client.worker, request);
    if (refusal !== null) reply.error(refusal);
    return refusal === null;
  },
  collect(worker, request) {
    const values: [string, string][] = [];
    for (let i = 2; i + 1 < request.count; i += 2) {
      values.push([request.text(i).toLowerCase(), request.text(i + 1)]);
    }
    worker.parameters.set(values);
    return null;
  },
  answer: (_client, _request, _parts, reply) => reply.ok(),
});

const resetStat = nodeCommand({
  name: "CONFIG|RESETSTAT",
  arity: 2,
  flags: ["admin", "noscript", "loading", "stale"],
  group: "server",
  since: "2.0.0",
  summary: "Resets the server's statistics.",
  complexity: "O(1)",
  collect(worker) {
    worker.stats.reset();
    for (const entry of worker.table.entries) {
      resetCommandStats(entry.stats);
      for (const subcommand of entry.subcommands) resetCommandStats(subcommand.stats);
    }
    return null;
  },
  answer: (_client, _request, _parts, reply) => reply.ok(),
});

const rewrite = sessionCommand({
  name: "CONFIG|REWRITE",
  arity: 2,
  flags: ["admin", "noscript", "loading", "stale"],
  group: "server",
  since: "2.8.0",
  summary: "Refused: the configuration file is not written by the server.",
  complexity: "O(1)",
  execute(_client, _request, reply) {
    reply.error(
      "ERR CONFIG REWRITE is not supported: the server never writes cluster.config.json; edit it, and check it with 'coterie config check'",
    );
  },
});

const config = containerCommand({
  name: "CONFIG",
  group: "server",
  since: "2.0.0",
  summary: "A container for server configuration commands.",
  complexity: "Depends on subcommand.",
  subcommands: [get, set, resetStat, rewrite],
});

export const configCommands = [config];
