/**
 * The configuration: every source, every problem, and the schema that editors get.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { type FlagValues, flagSpecs } from "../../runtime/config/flags.ts";
import { allPorts, isLoopback } from "../../runtime/config/members.ts";
import { type ConfigSources, resolveConfig } from "../../runtime/config/resolve.ts";
import { configJsonSchema, configShape } from "../../runtime/config/schema.ts";
import type { ObjectShape } from "../../runtime/config/shape.ts";
import { derivePorts, type NodeConfig } from "../../runtime/config.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const machine = { cores: 4, memoryBytes: 8 * 1024 ** 3 };

interface Given {
  readonly text?: string;
  readonly flags?: FlagValues;
  readonly env?: Record<string, string>;
  readonly readLine?: (path: string) => string;
}

function resolve({ text, flags = {}, env = {}, readLine = () => "secret" }: Given) {
  const file = text === undefined ? {} : { file: { name: "c.json", folder: "/etc/coterie", text } };
  const sources: ConfigSources = { ...file, flags, env, folder: "/here", machine, readLine };
  return resolveConfig(sources);
}

function config(given: Given): NodeConfig {
  const result = resolve(given);
  if (result.kind === "invalid") assert.fail(JSON.stringify(result.problems));
  return result.config;
}

function problems(given: Given): string[] {
  const result = resolve(given);
  if (result.kind === "resolved") return [];
  return result.problems.map(({ path, message }) => `${path}: ${message}`);
}

test("without a file, flags or environment a node has every default", () => {
  const { self, workers, keyspaces, dataFolder, bind, memory, security } = config({});
  assert.equal(self.name, "n1");
  assert.equal(workers, 3);
  assert.deepEqual(self.ports, {
    gateway: 7379,
    direct: [7380, 7381, 7382],
    admin: 7378,
    control: 7300,
    links: [7301, 7302, 7303],
  });
  assert.equal(bind, "127.0.0.1");
  assert.equal(dataFolder, "/here/data");
  assert.equal(memory.bytesMax, 6 * 1024 ** 3);
  assert.equal(security.password, undefined);
  assert.equal(keyspaces.length, 16);
  assert.deepEqual(keyspaces[5], {
    index: 5,
    name: "5",
    partitions: 256,
    replicas: 1,
    write: 1,
    read: 1,
    mode: "eventual",
    resolver: "lww",
    durability: "always",
    conditional: "best-effort",
  });
});

test("a flag beats the environment, which beats the file, which beats the default", () => {
  const text = '{"nodes": [{"name": "a", "port": 1000, "workers": 2, "data": "d"}]}';
  const env = { COTERIE_PORT: "2000", COTERIE_WORKERS: "5" };
  const result = config({ text, env, flags: { port: "3000" } });
  assert.equal(result.self.ports.gateway, 3000);
  assert.equal(result.workers, 5);
  assert.equal(result.dataFolder, "/etc/coterie/d");
  assert.equal(config({ text }).self.ports.gateway, 1000);
});

test("a path in the file starts at the file, one in a flag at the current folder", () => {
  assert.equal(config({ text: "{}" }).dataFolder, "/etc/coterie/data");
  assert.equal(config({ text: "{}", flags: { data: "x" } }).dataFolder, "/here/x");
  assert.equal(config({ text: "{}", flags: { data: "/x/.." } }).dataFolder, "/");
});

test("an empty environment variable counts as absent, an empty flag does not", () => {
  assert.deepEqual(problems({ env: { COTERIE_DATA: "" } }), []);
  assert.equal(problems({ flags: { data: "" } }).length, 1);
});

test("all problems of all sources come at once, each with its place", () => {
  const text = [
    '{ "clients": { "maks": 3, "max": 0 },',
    '  "log": { "level": "loud" },',
    '  "nodes": [{ "port": 70000 }] }',
  ].join("\n");
  const found = problems({ text, flags: { port: "abc" }, env: { COTERIE_WORKERS: "-1" } });
  assert.deepEqual(
    found.map((line) =>
      line
        .split(":")
        .slice(0, line.startsWith("c.json") ? 4 : 1)
        .join(":"),
    ),
    [
      "--port",
      "COTERIE_WORKERS",
      "c.json:3:13: nodes[0].name",
      "c.json:3:15: nodes[0].port",
      "c.json:1:16: clients.maks",
      "c.json:1:27: clients.max",
      "c.json:2:12: log.level",
    ],
  );
});

test("a wrong value is shown with what is allowed", () => {
  assert.deepEqual(problems({ text: '{"clients": {"max": "many"}}' }), [
    'c.json:1:14: clients.max: "many" is not allowed; expected a whole number from 1 to 1000000',
  ]);
});

test("an unknown field names the nearest right one, or where it belongs", () => {
  const [near, home, none] = problems({ text: '{"clutser": "x", "passwordFile": "x", "zzz": 1}' });
  assert.match(near ?? "", /did you mean "cluster"\?$/);
  assert.match(home ?? "", /did you mean security\.passwordFile\?$/);
  assert.match(none ?? "", /the fields here are \$schema, cluster/);
});

test("names of the prototype are unknown fields and change nothing", () => {
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    const found = problems({ text: `{"${name}": 1, "clients": {"${name}": {"max": 7}}}` });
    assert.equal(found.length, 2, found.join("\n"));
    assert.match(found.join("\n"), new RegExp(`clients.${name}: unknown field`));
    const overrides = `{"keyspaces": {"overrides": {"${name}": {}}}}`;
    assert.match(problems({ text: overrides }).join(), /expected the number|needs an "index"/);
  }
  assert.equal(Object.hasOwn(Object.prototype, "max"), false);
});

test("no text and no value throws or is taken for a configuration of another form", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      const result = resolve({ text });
      if (result.kind === "invalid") assert.ok(result.problems.length > 0);
    }),
  );
  fc.assert(
    fc.property(fc.anything(), (value) => {
      const sources = { value, folder: "/here", machine, readLine: () => "x" };
      assert.ok(["invalid", "resolved"].includes(resolveConfig(sources).kind));
    }),
  );
});

test("an address that others reach is refused without a password", () => {
  for (const flags of [{ bind: "0.0.0.0" }, { host: "10.1.2.3" }, { bind: "::" }, { host: "db" }]) {
    assert.match(problems({ flags }).join("\n"), /reachable by others.*--password-file/);
    assert.deepEqual(problems({ flags: { ...flags, "password-file": "p" } }), []);
  }
  const text = '{"nodes": [{"name": "a", "adminBind": "0.0.0.0"}]}';
  assert.match(problems({ text }).join("\n"), /0\.0\.0\.0 is reachable/);
});

test("only addresses of this machine count as loopback", () => {
  for (const yes of ["127.0.0.1", "127.9.9.9", "localhost", "::1", "LOCALHOST"]) {
    assert.equal(isLoopback(yes), true, yes);
  }
  for (const no of [
    "0.0.0.0",
    "::",
    "127.0.0.1.example.com",
    "x127.0.0.1",
    "10.0.0.1",
    "localhost.evil",
    "",
  ]) {
    assert.equal(isLoopback(no), false, no);
  }
});

test("the password is the first line of its file, found beside the file that names it", () => {
  const paths: string[] = [];
  const readLine = (path: string) => {
    paths.push(path);
    return "secret";
  };
  const text = '{"security": {"passwordFile": "p"}}';
  assert.equal(config({ text, readLine }).security.password, "secret");
  config({ text, readLine, flags: { "password-file": "q" } });
  assert.deepEqual(paths, ["/etc/coterie/p", "/here/q"]);
});

test("an empty or unreadable password file is refused, never taken as no password", () => {
  const flags = { "password-file": "p", bind: "0.0.0.0" };
  assert.match(problems({ flags, readLine: () => "" }).join(), /first line of p must hold/);
  const readLine = () => {
    throw new Error("permission denied");
  };
  assert.deepEqual(problems({ flags, readLine }), [
    "--password-file: p cannot be read: permission denied",
  ]);
});

test("ports derive from the gateway's, and port 0 gives every port a free one", () => {
  const ports = derivePorts({ port: 7379, workers: 20 });
  assert.equal(ports.direct.at(-1), 7399);
  assert.equal(ports.links.at(-1), 7320);
  assert.equal(new Set(allPorts(ports)).size, 43);
  const text = '{"nodes": [{"name": "a", "adminPort": 9000}]}';
  const chosen = config({ text, flags: { port: "0", "admin-port": "7000" } }).self.ports;
  assert.deepEqual([chosen.gateway, chosen.admin], [0, 7000]);
  const free = config({ text, flags: { port: "0" } }).self.ports;
  assert.deepEqual(new Set(allPorts(free)), new Set([0]));
  assert.equal(free.direct.length, 3);
});

test("every gateway port either gives valid and distinct ports or is refused by name", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 65535 }), fc.integer({ min: 1, max: 20 }), (port, n) => {
      const flags = { port: String(port), workers: String(n) };
      const found = problems({ flags });
      if (port < 80 || port + n > 65535) return assert.match(found.join(), /--port: .* take 80 to/);
      const all = allPorts(config({ flags }).self.ports);
      assert.equal(new Set(all).size, all.length);
      assert.ok(all.every((one) => one > 0 && one < 65536));
      return undefined;
    }),
    // The smallest that gives ports, and the largest that does not.
    {
      examples: [
        [80, 1],
        [79, 1],
        [79, 20],
      ],
    },
  );
});

test("more workers than derived ports need ports of their own", () => {
  assert.match(
    problems({ flags: { workers: "30" } }).join(),
    /--workers: 30 workers: .*directPort/,
  );
  const text = '{"nodes": [{"name": "a", "workers": 30, "directPort": 8000, "linkPort": 8100}]}';
  const { ports } = config({ text }).self;
  assert.equal(ports.direct.at(-1), 8029);
  assert.equal(ports.links[0], 8100);
  const many = { cores: 128, memoryBytes: 1024 ** 4 };
  const result = resolveConfig({ folder: "/", machine: many, readLine: () => "" });
  assert.equal(result.kind === "resolved" && result.config.workers, 20);
});

test("ports given by hand that collide are refused", () => {
  const text = '{"nodes": [{"name": "a", "adminPort": 7380}]}';
  assert.match(problems({ text }).join(), /two of the node's ports would be 7380/);
});

test("of several nodes one must be named, and named right", () => {
  const text = '{"nodes": [{"name": "a"}, {"name": "b", "port": 7479, "data": "./b"}]}';
  assert.match(problems({ text }).join(), /--node: is missing: the configuration names a, b/);
  assert.match(problems({ text, flags: { node: "c" } }).join(), /--node: there is no node "c"/);
  const { self, nodes, keyspaces } = config({ text, env: { COTERIE_NODE: "b" } });
  assert.equal(self.ports.gateway, 7479);
  assert.equal(nodes.length, 2);
  assert.deepEqual([keyspaces[0]?.replicas, keyspaces[0]?.write], [2, 2]);
});

test("nodes of one host share no name, port or folder", () => {
  const text = '{"nodes": [{"name": "a"}, {"name": "a", "port": 7381}]}';
  const found = problems({ text, flags: { node: "a" } }).join("\n");
  assert.match(found, /nodes\[1\]\.name: a is the name of nodes\[0\] too/);
  assert.match(found, /nodes\[1\]\.port: port 7381/);
  assert.match(found, /nodes\[1\]\.data: is the folder of nodes\[0\]/);
});

test("keyspaces are overridden by number or by name, and durability by flag everywhere", () => {
  const overrides = '"2": {"durability": "os"}, "logs": {"index": 4, "resolver": "siblings"}';
  const text = `{"keyspaces": {"default": {"durability": "interval"}, "overrides": {${overrides}}}}`;
  const { keyspaces } = config({ text });
  assert.deepEqual(
    [1, 2, 4].map((i) => [keyspaces[i]?.name, keyspaces[i]?.durability, keyspaces[i]?.resolver]),
    [
      ["1", "interval", "lww"],
      ["2", "os", "lww"],
      ["logs", "interval", "siblings"],
    ],
  );
  const forced = config({ text, flags: { durability: "always" } }).keyspaces;
  assert.ok(forced.every(({ durability }) => durability === "always"));
});

test("keyspaces that are not there, named twice or without number are refused", () => {
  const overrides = '"16": {}, "3": {}, "x": {"index": 3}, "y": {}, "01": {}';
  const found = problems({ text: `{"keyspaces": {"overrides": {${overrides}}}}` }).join("\n");
  assert.match(found, /overrides\.01: expected the number of a keyspace/);
  const late = problems({
    text: `{"keyspaces": {"overrides": {${overrides.replace(', "01": {}', "")}}}}`,
  }).join("\n");
  assert.match(late, /overrides\.16: there is no keyspace 16/);
  assert.match(late, /overrides\.x: keyspace 3 is overridden by 3 already/);
  assert.match(late, /overrides\.y: a name needs an "index"/);
});

test("quorums larger than the replicas, and replicas without nodes, are refused", () => {
  assert.match(
    problems({ text: '{"keyspaces": {"default": {"replicas": 3}}}' }).join(),
    /replicas: 3 copies of a key need as many nodes/,
  );
  assert.match(
    problems({ text: '{"keyspaces": {"default": {"write": 2}}}' }).join(),
    /default\.write: 2 is more than the 1 replicas/,
  );
  assert.match(
    problems({ text: '{"keyspaces": {"default": {"mode": "strong"}}}' }).join(),
    /strong keyspaces are not in this version/,
  );
  assert.match(
    problems({ text: '{"keyspaces": {"default": {"partitions": 100}}}' }).join(),
    /a power of two from 1 to 16384/,
  );
});

test("memory is bytes or a share of the machine's", () => {
  assert.equal(config({ flags: { memory: "2gb" } }).memory.bytesMax, 2 * 1024 ** 3);
  assert.equal(config({ flags: { memory: "50%" } }).memory.bytesMax, 4 * 1024 ** 3);
  assert.equal(problems({ flags: { memory: "101%" } }).length, 1);
  assert.equal(problems({ flags: { memory: "1kb" } }).length, 1);
});

test("the Kubernetes variable of a service is explained, a misspelt variable is warned of", () => {
  const found = problems({ env: { COTERIE_PORT: "tcp://10.0.0.1:7379" } });
  assert.match(found.join(), /COTERIE_PORT: .*enableServiceLinks: false/);
  const result = resolve({ env: { COTERIE_PROT: "1", COTERIE_SOMETHING_ELSE: "x", PORT: "1" } });
  assert.deepEqual(result.kind === "resolved" && result.warnings, [
    "COTERIE_PROT is no setting and is ignored; did you mean COTERIE_PORT?",
  ]);
});

test("every field has a description and a default that its own check allows", () => {
  const walk = (shape: ObjectShape, path: string) => {
    for (const [name, { shape: inner, description }] of Object.entries(shape.fields)) {
      assert.ok(description.length > 10, `${path}.${name} needs a description`);
      if (inner.kind === "object") walk(inner, `${path}.${name}`);
      if (inner.kind === "list") walk(inner.item, `${path}.${name}`);
    }
  };
  walk(configShape, "");
  assert.deepEqual(problems({ text: '{"nodes": [{"name": "n1"}]}' }), []);
  for (const { description } of flagSpecs) assert.ok(description.length > 10);
});

test("the committed schema is the one that the checker's shapes give", () => {
  const path = join(ROOT, "cluster.config.schema.json");
  const schema = configJsonSchema();
  if (process.env.REWRITE === "1") writeFileSync(path, `${JSON.stringify(schema, null, 2)}\n`);
  assert.deepEqual(JSON.parse(readFileSync(path, "utf8")), schema, "run with REWRITE=1");
});

test("the committed configuration is valid and changes no default", () => {
  const text = readFileSync(join(ROOT, "cluster.config.json"), "utf8");
  assert.deepEqual(config({ text, flags: { data: "data" } }), config({}));
});
