/**
 * The command line as a user types it: real processes, their output and their exit codes.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { NodeStatus } from "../../actors/node-api.ts";
import { readLine } from "../../bin/configuration.ts";
import { coterie, emptyFolder, ROOT } from "../support/command-line.ts";

const STATUS: NodeStatus = {
  name: "n1",
  cluster: "coterie",
  nodeId: "0123456789abcdef",
  version: "0.1.0",
  pid: 42,
  state: "ready",
  uptimeSeconds: 90_061,
  ports: { gateway: 7379, direct: [7380, 7381], admin: 7378, control: 7300, links: [7301, 7302] },
  dataFolder: "/data",
  workers: [
    {
      index: 0,
      state: "ready",
      keys: 5,
      clients: 1,
      memoryBytes: 1024,
      restarts: 0,
      longestTurnMs: 12.34,
    },
  ],
  keys: 5,
  memoryBytes: 5 * 1024 * 1024,
  memoryBytesMax: 1024 ** 3,
  clients: 1,
  clientsMax: 10_000,
  commands: 7,
  writes: { accepted: false, reason: "the disk is full" },
};

/** An admin server that answers every request with the text. */
async function answering(text: string) {
  const server = createServer((_, response) => void response.end(text));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  return { port, [Symbol.dispose]: () => void server.close() };
}

test("version and help are printed and end with 0", async () => {
  using folder = emptyFolder();
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  for (const words of [["version"], ["--version"]]) {
    const { code, stdout } = await coterie(words, { folder: folder.path });
    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`^coterie ${version} `));
  }
  for (const words of [
    ["help"],
    ["start", "--help"],
    ["help", "config", "check"],
    ["help", "help"],
  ]) {
    const { code, stdout, stderr } = await coterie(words, { folder: folder.path });
    assert.equal(code, 0);
    assert.match(stdout, /^Usage: coterie/);
    assert.equal(stderr, "");
  }
});

test("help of a first word lists the commands that begin with it", async () => {
  using folder = emptyFolder();
  const { code, stdout } = await coterie(["help", "config"], { folder: folder.path });
  assert.equal(code, 0);
  assert.match(stdout, /^Usage: coterie config COMMAND \[flags\]\n/);
  assert.match(stdout, /\n {2}config check .*\n {2}config print /);
  assert.doesNotMatch(stdout, /\n {2}start /);
});

test("a wrong command line names what was meant and ends with 64", async () => {
  using folder = emptyFolder();
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /no command given/],
    [["strat"], /unknown command: strat; did you mean start\?/],
    [["config", "chekc"], /unknown command: config chekc; did you mean check\?/],
    [["help", "startt"], /unknown command: startt; did you mean start\?/],
    [["--help", "config", "prnt"], /unknown command: config prnt; did you mean print\?/],
    [["help", "nosuch"], /unknown command: nosuch\n/],
    [["help", "start", "now"], /help start takes nothing more; what is now\?/],
    [["help", "version", "now"], /help version takes nothing more; what is now\?/],
    [["version", "extra", "junk"], /version takes nothing more; what is extra\?/],
    [["start", "--prot", "1"], /unknown flag: --prot; did you mean --port\?/],
    [["start", "--port"], /--port needs a value/],
    [["start", "--port", "1", "--port=2"], /--port is given twice/],
    [["start", "here"], /start takes flags only; what is here\?/],
    [["status", "--json=yes"], /--json takes no value/],
  ];
  for (const [words, expected] of cases) {
    const { code, stdout, stderr } = await coterie(words, { folder: folder.path });
    assert.equal(code, 64, words.join(" "));
    assert.equal(stdout, "");
    assert.match(stderr, expected);
  }
});

test("a wrong configuration lists every problem without stack trace and ends with 78", async () => {
  using folder = emptyFolder();
  writeFileSync(join(folder.path, "cluster.config.json"), '{\n  "cluster": 7,\n  "prot": 1\n}\n');
  for (const words of [
    ["start", "--port", "x"],
    ["config", "check", "--port", "x"],
  ]) {
    const { code, stdout, stderr } = await coterie(words, { folder: folder.path });
    assert.equal(code, 78);
    assert.equal(stdout, "");
    assert.match(stderr, /^coterie: the configuration has 3 problems \(CONFIG_INVALID\)$/m);
    assert.match(stderr, /^ {2}--port: "x" is not allowed/m);
    assert.match(stderr, /^ {2}cluster\.config\.json:2:3: cluster: 7 is not allowed/m);
    assert.match(stderr, /^ {2}cluster\.config\.json:3:3: prot: unknown field/m);
    assert.doesNotMatch(stderr, /\n\s+at /);
  }
});

test("a configuration file that is named must be there, the default one need not", async () => {
  using folder = emptyFolder();
  const check = (...words: string[]) =>
    coterie(["config", "check", ...words], { folder: folder.path });
  assert.match((await check()).stdout, /no cluster\.config\.json here: the defaults: valid/);
  const missing = await check("--config", "other.json");
  assert.equal(missing.code, 78);
  assert.match(missing.stderr, /other\.json cannot be read: there is no such file/);
  mkdirSync(join(folder.path, "cluster.config.json"));
  assert.match((await check()).stderr, /cluster\.config\.json cannot be read: it is a folder/);
});

test("a default configuration file that is a link to nowhere is said, not passed over", async () => {
  using folder = emptyFolder();
  symlinkSync("nowhere.json", join(folder.path, "cluster.config.json"));
  const { code, stderr } = await coterie(["config", "check"], { folder: folder.path });
  assert.equal(code, 78);
  assert.match(stderr, /cluster\.config\.json cannot be read: there is no such file/);
});

test("a password may come through a pipe, and have an editor's byte order mark", async () => {
  using folder = emptyFolder();
  const path = join(folder.path, "password");
  writeFileSync(path, "\ufeffsecret\r\nsecond line\n");
  assert.equal(readLine(path), "secret");
  const pipe = join(folder.path, "pipe");
  assert.equal(spawnSync("mkfifo", [pipe]).status, 0);
  const writer = spawn("sh", ["-c", `(printf sec; printf 'ret\nmore') > '${pipe}'`]);
  assert.equal(readLine(pipe), "secret");
  await once(writer, "exit");
});

test("the committed configuration is valid", async () => {
  const { code, stdout } = await coterie(["config", "check"], { folder: ROOT });
  assert.equal(code, 0);
  assert.equal(stdout, "cluster.config.json: valid (cluster coterie, nodes n1)\n");
});

test("the printed configuration is whole but for the password", async () => {
  using folder = emptyFolder();
  const file = join(folder.path, "password");
  writeFileSync(file, "open sesame\nsecond line\n");
  chmodSync(file, 0o600);
  const env = { COTERIE_PORT: "7500", COTERIE_PASSWORD_FILE: "password" };
  const words = ["config", "print", "--workers=2", "--host", "0.0.0.0"];
  const { code, stdout } = await coterie(words, { folder: folder.path, env });
  assert.equal(code, 0);
  const config = JSON.parse(stdout);
  assert.deepEqual(config.self.ports.direct, [7501, 7502]);
  assert.equal(config.dataFolder, join(folder.path, "data"));
  assert.doesNotMatch(stdout, /sesame/);
});

test("a misspelt variable is a warning on stderr", async () => {
  using folder = emptyFolder();
  const env = { COTERIE_WORKRES: "2" };
  const { code, stderr } = await coterie(["config", "check"], { folder: folder.path, env });
  assert.equal(code, 0);
  assert.match(stderr, /warning: COTERIE_WORKRES is no setting.*COTERIE_WORKERS\?/);
});

test("a configuration of several nodes is valid, but this version starts one", async () => {
  using folder = emptyFolder();
  const nodes = [{ name: "a" }, { name: "b", port: 7479, data: "b" }];
  writeFileSync(join(folder.path, "cluster.config.json"), JSON.stringify({ nodes }));
  const options = { folder: folder.path };
  assert.equal((await coterie(["config", "check", "--node", "a"], options)).code, 0);
  const { code, stderr } = await coterie(["start", "--node", "a"], options);
  assert.equal(code, 78);
  assert.match(stderr, /names 2 nodes, and this version runs one/);
});

test("status prints a table, or the answer as JSON", async () => {
  using folder = emptyFolder();
  using server = await answering(JSON.stringify(STATUS));
  const words = ["status", "--admin-port", String(server.port)];
  const table = await coterie(words, { folder: folder.path });
  assert.equal(table.code, 0, table.stderr);
  assert.match(table.stdout, /^node +n1 \(0123456789abcdef\) of coterie$/m);
  assert.match(table.stdout, /^pid +42, up 1d 01:01:01$/m);
  assert.match(table.stdout, /^ports +gateway 7379, direct 7380-7381$/m);
  assert.match(table.stdout, /^memory +5\.0 MB of 1024\.0 MB$/m);
  assert.match(table.stdout, /^writes +refused: the disk is full$/m);
  assert.match(table.stdout, /^0 +ready +5 +1 +1kb +0 +12\.3 ms$/m);
  const json = await coterie([...words, "--json"], { folder: folder.path });
  assert.deepEqual(JSON.parse(json.stdout), STATUS);
});

test("status finds the port of a node with free ports in its data folder", async () => {
  using folder = emptyFolder();
  using server = await answering(JSON.stringify({ ...STATUS, state: "starting" }));
  const words = ["status", "--port", "0"];
  const nothing = await coterie(words, { folder: folder.path });
  assert.equal(nothing.code, 1);
  assert.match(nothing.stderr, /no node runs on this data folder/);
  mkdirSync(join(folder.path, "data"));
  writeFileSync(join(folder.path, "data", "ports.json"), JSON.stringify({ admin: server.port }));
  const { code, stdout } = await coterie(words, { folder: folder.path });
  assert.match(stdout, /^state +starting$/m);
  assert.equal(code, 1);
});

test("status shows no node in what is none, and nothing that a terminal would act on", async () => {
  using folder = emptyFolder();
  for (const answer of [
    { nodeId: "x", state: "ready" },
    { ...STATUS, pid: "x" },
    { ...STATUS, workers: [null] },
    null,
  ]) {
    using other = await answering(JSON.stringify(answer));
    const words = ["status", "--admin-port", String(other.port)];
    const { code, stderr } = await coterie(words, { folder: folder.path });
    assert.equal(code, 1);
    assert.match(stderr, /^coterie: something that is no Coterie node answers at/);
  }
  using server = await answering(JSON.stringify({ ...STATUS, name: "n1\u001b[31m\nstate ready" }));
  const words = ["status", "--admin-port", String(server.port)];
  const { stdout } = await coterie(words, { folder: folder.path });
  assert.match(stdout, /^node +n1\?\[31m\?state ready \(/);
});

test("status says when nothing answers, or something else does", async () => {
  using folder = emptyFolder();
  const gone = await answering("");
  const words = ["status", "--admin-port", String(gone.port)];
  const other = await coterie(words, { folder: folder.path });
  assert.equal(other.code, 1);
  assert.match(other.stderr, /something that is no Coterie node answers at 127\.0\.0\.1:\d+/);
  gone[Symbol.dispose]();
  const nobody = await coterie(words, { folder: folder.path });
  assert.equal(nobody.code, 1);
  assert.match(nobody.stderr, new RegExp(`nothing answers at 127\\.0\\.0\\.1:${gone.port} `));
  assert.match(nobody.stderr, /Start it with: coterie start/);
});
