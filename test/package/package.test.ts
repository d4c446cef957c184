/**
 * The package as a user gets it: packed from the checkout, installed from the tarball in an empty folder, run
 * by npx, imported by an application, checked by the application's compiler.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { type Ended, emptyFolder, ended, environment, ROOT } from "../support/command-line.ts";
import { TestClient } from "../support/test-client.ts";

/** Longest time of one npm command: it may download four packages. */
const NPM_TIMEOUT_MS = 180_000;

const APPLICATION = `
import { CoterieError, startNode } from "coterie";
const node = await startNode({ data: "./data", port: 0, workers: 2, durability: "always" });
const client = node.client();
await client.set("greeting", "hello");
const replies = await client.pipeline([["INCR", "n"], ["LPUSH", "n", "x"]]);
console.log(JSON.stringify({
  greeting: await client.get("greeting"),
  count: replies[0],
  error: replies[1] instanceof CoterieError && replies[1].detail.word,
}));
await node.stop();
`;

const OLD_NODE = `
const versions = { ...process.versions, node: "20.20.2" };
Object.defineProperty(process, "versions", { value: versions });
const { startNode } = await import("coterie");
await startNode({ data: "./old", port: 0 }).catch((error) => console.log(error.code, error.message));
`;

/** What an application writes against the declarations; compiled, never run. */
const TYPED = `
import { startNode, type NodeOptions, type Reply } from "coterie";
const options: NodeOptions = { port: 0, durability: "os" };
const node = await startNode(options);
const text: string | null = await node.client().get("k");
const bytes: Buffer | null = await node.client({ replies: "bytes" }).get("k");
const reply: Reply<string> = await node.client().call("PING");
// @ts-expect-error: a key is not an object
await node.client().get({});
export { bytes, reply, text };
`;

/** Ways in which an application's compiler finds them. */
const RESOLUTIONS: Readonly<Record<string, readonly string[]>> = {
  "Node's resolution": ["--module", "nodenext"],
  "a bundler's resolution": ["--module", "esnext", "--moduleResolution", "bundler"],
};

const folder = emptyFolder();
const application = join(folder.path, "application");

/** Node's own folder goes first on the PATH: npm and what it runs are then this Node. */
function run(command: string, args: readonly string[], cwd: string): Promise<Ended> {
  const path = `${dirname(process.execPath)}:${process.env.PATH}`;
  const child = spawn(command, args, {
    cwd,
    env: environment({ PATH: path }),
    stdio: ["ignore", "pipe", "pipe"],
    timeout: NPM_TIMEOUT_MS,
  });
  return ended(child);
}

function assertDone({ code, stdout, stderr }: Ended): string {
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  return stdout;
}

before(async () => {
  assertDone(await run("npm", ["pack", "--pack-destination", folder.path], ROOT));
  const tarball = readdirSync(folder.path).find((name) => name.endsWith(".tgz")) ?? "";
  mkdirSync(application);
  const manifest = { name: "application", private: true, type: "module" };
  writeFileSync(join(application, "package.json"), JSON.stringify(manifest));
  const flags = ["--no-audit", "--no-fund", "--prefer-offline"];
  assertDone(await run("npm", ["install", ...flags, join("..", tarball)], application));
});

after(() => folder[Symbol.dispose]());

test("the tarball holds the package and nothing of the checkout", () => {
  const names = readdirSync(join(application, "node_modules", "coterie")).sort();
  const wanted = ["CHANGELOG.md", "LICENSE", "README.md", "cluster.config.schema.json", "dist"];
  assert.deepEqual(names, [...wanted, "package.json"]);
});

test("npx runs the command line, and the version is the package's", async () => {
  const text = readFileSync(join(ROOT, "package.json"), "utf8");
  const { version } = JSON.parse(text) as { version: string };
  const stdout = assertDone(await run("npx", ["coterie", "version"], application));
  assert.ok(stdout.startsWith(`coterie ${version} `), stdout);
});

test("npx coterie start serves until SIGTERM, and keeps what it acknowledged", async () => {
  const entry = join(application, "node_modules", ".bin", "coterie");
  const words = ["start", "--port", "0", "--log-format", "json"];
  const child = spawn(process.execPath, [entry, ...words], {
    cwd: application,
    env: environment(),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const end = ended(child);
  const banner = Promise.withResolvers<string>();
  child.stdout?.once("data", (chunk) => banner.resolve(String(chunk)));
  void end.then(({ stderr }) => banner.reject(new Error(stderr)));
  const { ports } = JSON.parse(await banner.promise) as { ports: { gateway: number } };
  const client = await TestClient.connect(ports.gateway);
  assert.equal(await client.call("SET", "k", "v"), "OK");
  assert.equal(await client.call("GET", "k"), "v");
  child.kill("SIGTERM");
  assertDone(await end);
});

test("an application imports startNode and uses its typed client", async () => {
  writeFileSync(join(application, "main.js"), APPLICATION);
  const stdout = assertDone(await run(process.execPath, ["main.js"], application));
  assert.deepEqual(JSON.parse(stdout), { greeting: "hello", count: 1, error: "WRONGTYPE" });
});

test("on an older Node an application is told which one it needs", async () => {
  writeFileSync(join(application, "old.js"), OLD_NODE);
  // As in an older Node, this module is not there at all.
  const flags = ["--no-experimental-sqlite"];
  const stdout = assertDone(await run(process.execPath, [...flags, "old.js"], application));
  assert.match(
    stdout,
    /^NODE_TOO_OLD coterie needs Node 24 or newer, this is 20\.20\.2 \(.*\): install/,
  );
});

for (const [resolution, words] of Object.entries(RESOLUTIONS)) {
  test(`the declarations are the package's, strict and complete, by ${resolution}`, async () => {
    writeFileSync(join(application, "typed.ts"), TYPED);
    const tsc = join(ROOT, "node_modules", ".bin", "tsc");
    const flags = [...words, "--noEmit", "--strict", "--target", "es2024"];
    const types = ["--typeRoots", join(ROOT, "node_modules", "@types"), "--types", "node"];
    const args = [tsc, ...flags, "--lib", "es2024,esnext.disposable", ...types, "typed.ts"];
    assertDone(await run(process.execPath, args, application));
  });
}
