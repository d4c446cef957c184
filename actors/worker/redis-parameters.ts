/**
 * Redis's configuration parameters: those that mean something here, mapped to our configuration, and
 * those that change nothing here but are checked and remembered, since tools and test suites set
 * them.
 *
 * Invariant: a parameter that promises something (durability, eviction, a password) is never
 * remembered without being kept: it is refused instead.
 */
import { WORKER_MEMORY_BYTES_MAX } from "../../runtime/base/limits.ts";
import type { ClientsConfig, NodeConfig } from "../../runtime/config.ts";
import { memoryBytes, PARAMETER_BYTES_MAX } from "./parameter-values.ts";
import type { Parameter, Parameters } from "./parameters.ts";
import { rememberedParameters } from "./remembered-parameters.ts";

/** What a changed parameter does. */
export interface ParameterEffects {
  /** Memory for data of the whole node. */
  setMemoryMax(bytes: number): void;
  /** The worker's own copy of the bounds on clients; absent: they cannot be changed. */
  readonly limits?: { -readonly [Name in keyof ClientsConfig]: ClientsConfig[Name] };
}

const IMMUTABLE = "can't set immutable config";

/** Adds every parameter. */
export function defineParameters(
  parameters: Parameters,
  config: NodeConfig,
  effects: ParameterEffects,
): void {
  rememberedParameters(parameters);
  defineFixed(parameters, config);
  defineMemory(parameters, config, effects);
  defineLimits(parameters, config, effects.limits);
}

/** A parameter that shows a fact. Setting it to what it is already is no error. */
function fixed(value: string, refusal = IMMUTABLE): Parameter {
  return { get: () => value, check: (wanted) => (wanted === value ? null : refusal), set() {} };
}

function defineFixed(parameters: Parameters, config: NodeConfig): void {
  const durability = config.keyspaces[0]?.durability ?? "always";
  const sync = { always: "always", interval: "everysec", os: "no" }[durability];
  const facts: Readonly<Record<string, string>> = {
    databases: String(config.keyspaces.length),
    port: String(config.self.ports.gateway),
    bind: config.bind,
    dir: config.dataFolder,
    "io-threads": String(config.workers),
    "cluster-enabled": "no",
    "cluster-require-full-coverage": "yes",
    loglevel: { debug: "debug", info: "notice", warn: "warning", error: "warning" }[
      config.log.level
    ],
    logfile: "",
    pidfile: "",
    daemonize: "no",
    supervised: "no",
    unixsocket: "",
    "tls-port": "0",
    "tcp-backlog": "511",
    dbfilename: "",
    appendfilename: "",
    appenddirname: "",
    replicaof: "",
    slaveof: "",
    "enable-debug-command": "no",
    "enable-module-command": "no",
    "enable-protected-configs": "no",
  };
  for (const [name, value] of Object.entries(facts)) parameters.define(name, fixed(value));
  parameters.define("appendfsync", fixed(sync, "durability is set in cluster.config.json"));
  parameters.define(
    "maxmemory-policy",
    fixed("noeviction", "argument(s) must be one of the following: noeviction"),
  );
  const hidden = config.security.password === undefined ? "" : "(hidden)";
  const elsewhere = "the password is set in cluster.config.json (security.passwordFile)";
  parameters.define("requirepass", fixed(hidden, elsewhere));
  for (const name of ["masterauth", "masteruser"]) parameters.define(name, fixed(""));
}

function defineMemory(parameters: Parameters, config: NodeConfig, effects: ParameterEffects): void {
  let bytes = config.memory.bytesMax;
  const max = config.workers * WORKER_MEMORY_BYTES_MAX;
  parameters.define("maxmemory", {
    get: () => String(bytes),
    check(value) {
      const wanted = memoryBytes(value);
      if (wanted < 0) return "argument must be a memory value";
      return wanted > max ? `argument must be at most ${max}: 24 GB a worker` : null;
    },
    set(value) {
      // Redis's "no limit" is the configured limit here: without one the machine decides.
      bytes = memoryBytes(value) || config.memory.bytesMax;
      effects.setMemoryMax(bytes);
    },
  });
}

/** A bound on clients under Redis's name: `unit` of our numbers is one of Redis's. */
interface Limit {
  readonly name: string;
  readonly field: keyof ClientsConfig;
  readonly unit: number;
  readonly min: number;
  readonly max: number;
  readonly isMemory: boolean;
}

const LIMITS: readonly Limit[] = [
  { name: "maxclients", field: "max", unit: 1, min: 1, max: 1_000_000, isMemory: false },
  { name: "timeout", field: "idleTimeoutMs", unit: 1000, min: 0, max: 86_400, isMemory: false },
  { name: "tcp-keepalive", field: "keepAliveMs", unit: 1000, min: 0, max: 86_400, isMemory: false },
  {
    name: "proto-max-bulk-len",
    field: "argumentBytesMax",
    unit: 1,
    min: 1024 * 1024,
    max: 512 * 1024 * 1024,
    isMemory: true,
  },
  {
    name: "client-query-buffer-limit",
    field: "queryBytesMax",
    unit: 1,
    min: 1024 * 1024,
    max: PARAMETER_BYTES_MAX,
    isMemory: true,
  },
];

function defineLimits(
  parameters: Parameters,
  config: NodeConfig,
  limits: ParameterEffects["limits"],
): void {
  for (const { name, field, unit, min, max, isMemory } of LIMITS) {
    const shown = () => String(Math.floor((limits ?? config.clients)[field] / unit));
    const read = (value: string) => (isMemory ? memoryBytes(value) : wholeNumber(value));
    parameters.define(name, {
      get: shown,
      check(value) {
        const number = read(value);
        if (Number.isNaN(number)) return "argument couldn't be parsed into an integer";
        if (isMemory && number < 0) return "argument must be a memory value";
        if (number < min || number > max) {
          return `argument must be between ${min} and ${max} inclusive`;
        }
        return limits === undefined && value !== shown() ? IMMUTABLE : null;
      },
      set(value) {
        if (limits !== undefined) limits[field] = read(value) * unit;
      },
    });
  }
  const { outputHardBytes, outputSoftBytes, outputSoftMs } = config.clients;
  const soft = Math.floor(outputSoftMs / 1000);
  parameters.define(
    "client-output-buffer-limit",
    fixed(
      `normal ${outputHardBytes} ${outputSoftBytes} ${soft} slave 0 0 0 pubsub ${outputHardBytes} ${outputSoftBytes} ${soft}`,
      "output buffers are bounded in cluster.config.json (clients.output…)",
    ),
  );
}

/** A whole number in decimal; NaN: it is none. */
function wholeNumber(text: string): number {
  return /^-?[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN;
}
