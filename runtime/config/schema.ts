/**
 * Every field of cluster.config.json: what it may hold, its default, its description.
 *
 * cluster.config.schema.json is made from this file (a test compares them; REWRITE=1 rewrites it),
 * so editors, `coterie config check` and the node never disagree about a field.
 */
import { KEYSPACES_DEFAULT, PARTITIONS_DEFAULT, SLOTS, VALUE_BYTES_MAX } from "../base/limits.ts";
import {
  anyText,
  bytes,
  CONFIG_KEYSPACES_MAX,
  CONFIG_NODES_MAX,
  choice,
  type Field,
  field,
  integer,
  list,
  type MapShape,
  type ObjectShape,
  object,
  optional,
  overridesOf,
  required,
  type Shape,
  text,
  WORKERS_MAX,
} from "./shape.ts";

const KB = 1024;
const MB = 1024 * KB;
const GB = 1024 * MB;
const DAY_MS = 86_400_000;

const NAME = text(
  "^[a-zA-Z][a-zA-Z0-9_.-]{0,62}$",
  "a letter, then up to 62 letters, digits, dots, dashes or underscores",
);
const PORT = integer(0, 65_535);
const HOST = anyText("a host name or an IP address");
const PATH = anyText("a path");

const node = object({
  name: required(NAME, "Name of the node, unique in the cluster; `--node` picks one."),
  host: field(HOST, "127.0.0.1", "Where clients and other nodes reach it, and what it announces."),
  bind: optional(HOST, "Address to listen on. Absent: `host`."),
  port: field(
    PORT,
    7379,
    "Gateway port P, for every client. All others derive from it: direct P+1+i (one a worker), admin P-1, control P-79, links P-78+i. 0: a free one for each.",
  ),
  adminPort: optional(PORT, "Port of the admin HTTP server. Absent: P-1."),
  adminBind: optional(HOST, "Address of the admin HTTP server. Absent: the same as `bind`."),
  directPort: optional(PORT, "First of the direct ports, one a worker. Absent: P+1."),
  controlPort: optional(PORT, "Port of the control link between nodes. Absent: P-79."),
  linkPort: optional(PORT, "First of the data links' ports, one a worker. Absent: P-78."),
  data: field(PATH, "./data", "Data folder, relative to this file. One node a folder."),
  workers: field(
    integer(1, WORKERS_MAX, { words: ["auto"] }),
    "auto",
    "Worker threads. `auto`: cores - 1, at least 1, at most 20 (past that, give directPort and linkPort). May change between starts.",
  ),
  rack: field(NAME, "default", "Failure domain: replicas go to distinct racks first."),
});

const keyspace = object({
  partitions: field(
    integer(1, SLOTS, { powerOfTwo: true }),
    PARTITIONS_DEFAULT,
    "Equal parts of the ring (Q). Fixed once a node has started with them.",
  ),
  replicas: field(
    integer(1, CONFIG_NODES_MAX, { words: ["auto"] }),
    "auto",
    "Copies of each key (N). `auto`: 3, or the number of nodes if that is less.",
  ),
  write: field(
    integer(1, CONFIG_NODES_MAX, { words: ["majority"] }),
    "majority",
    "Replicas that hold a write before it is acknowledged (W).",
  ),
  read: field(
    integer(1, CONFIG_NODES_MAX, { words: ["majority"] }),
    1,
    "Replicas asked by a read (R).",
  ),
  mode: field(
    choice(["eventual"], { strong: "strong keyspaces are not in this version" }),
    "eventual",
    "How replicas agree. `eventual`: leaderless, always writable, converging.",
  ),
  resolver: field(
    choice(["lww", "siblings"]),
    "lww",
    "How concurrent versions are shown. `lww`: the last one (hybrid clock). `siblings`: all, to native clients.",
  ),
  durability: field(
    choice(["always", "interval", "os"]),
    "always",
    "When a write is acknowledged. `always`: after fdatasync (group commit). `interval`: after write(), synced every journal.intervalMs. `os`: after write(), never synced for clients.",
  ),
  conditional: field(
    choice(["best-effort", "refuse"]),
    "best-effort",
    "Conditional commands (SET NX, WATCH, pops) where N > 1: exact while one coordinator serves (`best-effort`), or refused.",
  ),
});

const keyspaceOverrides: MapShape = {
  kind: "map",
  pattern: "^((0|[1-9][0-9]{0,4})|[a-zA-Z][a-zA-Z0-9_.-]{0,62})$",
  allowed: 'the number of a keyspace (what SELECT takes), such as "3", or a name with an "index"',
  value: object({
    index: optional(
      integer(0, CONFIG_KEYSPACES_MAX - 1),
      "Number of the keyspace, where the entry is under a name. What SELECT takes.",
    ),
    ...overridesOf(keyspace).fields,
  }),
  max: CONFIG_KEYSPACES_MAX,
};

const keyspaces = object({
  count: field(
    integer(1, CONFIG_KEYSPACES_MAX),
    KEYSPACES_DEFAULT,
    "Keyspaces that SELECT can pick, from 0.",
  ),
  default: optional(keyspace, "What holds for every keyspace unless overridden."),
  overrides: optional(
    keyspaceOverrides,
    "What differs, by the keyspace's number, or by a name of yours with an `index`.",
  ),
});

const memory = object({
  bytesMax: field(
    bytes(16 * MB, 1024 * GB, { percent: true }),
    "75%",
    "Memory for data, of the whole node: bytes, or a share of the machine's (or the container's) memory. At most 24 GB a worker. Past it writes are refused (OOM); reads and deletes go on.",
  ),
  youngGenerationBytes: field(
    bytes(MB, GB),
    "32mb",
    "V8's young generation of each worker: large enough that a request's garbage dies young.",
  ),
});

const journal = object({
  fileBytes: field(
    bytes(MB, GB),
    "32mb",
    "Size of a journal file. Preallocated, one or more a worker.",
  ),
  reserveBytes: field(
    bytes(0, GB),
    "16mb",
    "Disk space held back for cleaning up when the disk is full.",
  ),
  intervalMs: field(
    integer(1, 60_000),
    1000,
    "Longest time between syncs with durability `interval`: what a power loss may take.",
  ),
});

const snapshot = object({
  logBytesMin: field(
    bytes(4 * KB, GB),
    "1mb",
    "A partition takes a snapshot when its log since the last one exceeds its table, and this.",
  ),
});

const clients = object({
  max: field(integer(1, 1_000_000), 10_000, "Client connections of the node."),
  outputPauseBytes: field(
    bytes(4 * KB, GB),
    "1mb",
    "Replies waiting for a client before no more of its requests are read.",
  ),
  outputHardBytes: field(
    bytes(64 * KB, 16 * GB),
    "256mb",
    "Replies waiting for a client before it is disconnected if it takes none of them for a second. One reply alone may be larger.",
  ),
  outputSoftBytes: field(
    bytes(64 * KB, 16 * GB),
    "64mb",
    "Replies waiting for a client before it is disconnected if it takes less than as much again in outputSoftMs.",
  ),
  outputSoftMs: field(integer(100, DAY_MS), 60_000, "How long outputSoftBytes may last."),
  queryBytesMax: field(
    bytes(MB, 16 * GB),
    "1gb",
    "Bytes of one unfinished request (Redis: client-query-buffer-limit).",
  ),
  idleTimeoutMs: field(integer(0, DAY_MS), 0, "Silent clients are closed after this. 0: never."),
  handshakeTimeoutMs: field(
    integer(100, 600_000),
    10_000,
    "Time for a client to authenticate, where a password is set.",
  ),
  keepAliveMs: field(integer(1000, DAY_MS), 300_000, "Idle time before TCP keepalive probes."),
  argumentsMax: field(integer(16, 1_048_576), 1_048_576, "Arguments of one request."),
  argumentBytesMax: field(
    bytes(KB, VALUE_BYTES_MAX),
    "512mb",
    "Bytes of one argument (Redis: proto-max-bulk-len).",
  ),
});

const security = object({
  passwordFile: optional(
    PATH,
    "File whose first line is the password that clients give with AUTH, relative to this file. Absent: no authentication, and then only loopback addresses can be bound.",
  ),
});

const log = object({
  level: field(choice(["debug", "info", "warn", "error"]), "info", "The least that is logged."),
  format: field(choice(["text", "json"]), "text", "Log lines for people, or JSON objects."),
});

function section(shape: Shape, description: string): Field {
  return optional(shape, description);
}

/** The whole file. */
export const configShape: ObjectShape = object({
  $schema: optional(anyText("a path or address"), "The schema of this file, for editors."),
  cluster: field(NAME, "coterie", "Name of the cluster: nodes of another name are not let in."),
  version: field(
    integer(1, 4_294_967_295),
    1,
    "Epoch of the topology: raise it with every change of `nodes`.",
  ),
  nodes: section(
    list(node, 1, CONFIG_NODES_MAX),
    "The nodes of the cluster. Absent: one node, n1, with defaults.",
  ),
  keyspaces: section(keyspaces, "Keyspaces: what SELECT picks, each with its own guarantees."),
  memory: section(memory, "Memory of the node."),
  journal: section(journal, "The write-ahead log on disk."),
  snapshot: section(snapshot, "Snapshots of partitions, which let the log be cut."),
  clients: section(clients, "Bounds on client connections."),
  security: section(security, "Who may connect."),
  log: section(log, "What is logged, and how."),
});

/** Shape of the node entries: `--port` and its like are checked by the same rules. */
export const nodeShape: ObjectShape = node;
/** Shape of keyspace settings, all with defaults. */
export const keyspaceShape: ObjectShape = keyspace;

function schemaOf(shape: Shape): Record<string, unknown> {
  switch (shape.kind) {
    case "integer": {
      const number = { type: "integer", minimum: shape.min, maximum: shape.max };
      if (shape.powerOfTwo) {
        const powers = [];
        for (let power = 1; power <= shape.max; power *= 2) powers.push(power);
        return { enum: powers };
      }
      return shape.words.length === 0 ? number : { anyOf: [number, { enum: [...shape.words] }] };
    }
    case "bytes": {
      const unit = "^[0-9]+(\\.[0-9]+)?\\s*([kmgtKMGT]?[iI]?[bB]?)";
      const pattern = shape.percent ? `${unit}$|^[0-9.]+\\s*%$` : `${unit}$`;
      const number = { type: "integer", minimum: shape.min, maximum: shape.max };
      return { anyOf: [number, { type: "string", pattern }] };
    }
    case "choice":
      return { enum: [...shape.values] };
    case "text":
      return { type: "string", pattern: shape.pattern };
    case "list":
      return {
        type: "array",
        items: schemaOf(shape.item),
        minItems: shape.min,
        maxItems: shape.max,
      };
    case "map":
      return {
        type: "object",
        patternProperties: { [shape.pattern]: schemaOf(shape.value) },
        additionalProperties: false,
      };
    case "object":
      return objectSchemaOf(shape);
  }
}

function objectSchemaOf(shape: ObjectShape): Record<string, unknown> {
  const properties: Record<string, unknown> = {};
  for (const [name, { shape: inner, description, fallback }] of Object.entries(shape.fields)) {
    const schema = { description, ...schemaOf(inner) };
    properties[name] = fallback === undefined ? schema : { ...schema, default: fallback };
  }
  const names = Object.entries(shape.fields).filter(([, inner]) => inner.required);
  const need = names.length === 0 ? {} : { required: names.map(([name]) => name) };
  return { type: "object", properties, additionalProperties: false, ...need };
}

/** The JSON schema of the configuration file, for editors. */
export function configJsonSchema(): Record<string, unknown> {
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Coterie cluster configuration",
    ...schemaOf(configShape),
  };
}
