/**
 * The pre-script that installs packages: when it does nothing, when it installs, what it says.
 *
 * npm itself is a stand-in here (npm_execpath), so that no test needs a network.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { emptyFolder, ended, environment, ROOT } from "../support/command-line.ts";

const PREPARE = join(ROOT, "bin", "prepare.mjs");

interface PackageFolder {
  readonly path: string;
  readonly run: () => ReturnType<typeof ended>;
  readonly lock: (version: string) => void;
  readonly installed: (version: string) => void;
  readonly runs: () => number;
}

/** A package with one dependency and an npm that does what the script says, counting its runs. */
function packageFolder(path: string, npm: string): PackageFolder {
  writeFileSync(join(path, "package.json"), JSON.stringify({ name: "p" }));
  const script = join(path, "npm-cli.js");
  const log = join(path, "npm-runs");
  writeFileSync(
    script,
    `const fs = require("node:fs"); fs.appendFileSync(${JSON.stringify(log)}, "run\\n"); ${npm}`,
  );
  const packages = (version: string) => ({ packages: { "node_modules/dep": { version } } });
  return {
    path,
    run: () =>
      ended(
        spawn(process.execPath, [PREPARE, path], {
          cwd: path,
          env: environment({ npm_execpath: script }),
          stdio: ["ignore", "pipe", "pipe"],
        }),
      ),
    lock: (version) =>
      writeFileSync(join(path, "package-lock.json"), JSON.stringify(packages(version))),
    installed(version) {
      mkdirSync(join(path, "node_modules", "dep"), { recursive: true });
      const text = JSON.stringify(packages(version));
      writeFileSync(join(path, "node_modules", ".package-lock.json"), text);
    },
    runs: () => (existsSync(log) ? readFileSync(log, "utf8").split("\n").length - 1 : 0),
  };
}

const NPM_INSTALLS = `fs.mkdirSync("node_modules/dep", { recursive: true });
fs.copyFileSync("package-lock.json", "node_modules/.package-lock.json");`;

test("packages are installed once, with a notice, and again when the lockfile changes", async () => {
  using folder = emptyFolder();
  const subject = packageFolder(folder.path, NPM_INSTALLS);
  subject.lock("1.0.0");
  const first = await subject.run();
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stderr, /installing packages/);
  assert.equal(first.stderr.trim().split("\n").length, 1);
  const second = await subject.run();
  assert.deepEqual([second.code, second.stderr, subject.runs()], [0, "", 1]);
  subject.lock("1.0.1");
  await subject.run();
  assert.equal(subject.runs(), 2);
});

test("what somebody's own npm ci installed is taken as it is, if it is what the lockfile says", async () => {
  using folder = emptyFolder();
  const subject = packageFolder(folder.path, "process.exit(1)");
  subject.lock("1.0.0");
  subject.installed("1.0.0");
  assert.equal((await subject.run()).code, 0);
  assert.equal(subject.runs(), 0);
  subject.lock("2.0.0");
  assert.equal((await subject.run()).code, 1);
  assert.equal(subject.runs(), 1);
});

test("what is installed is good enough where that cannot be noted: another user's folder", async () => {
  using folder = emptyFolder();
  const subject = packageFolder(folder.path, "process.exit(1)");
  subject.lock("1.0.0");
  subject.installed("1.0.0");
  mkdirSync(join(folder.path, "node_modules", ".coterie-prepared"));
  const { code, stderr } = await subject.run();
  assert.deepEqual([code, stderr], [0, ""]);
});

test("without network the message says so, and nothing is taken as installed", async () => {
  using folder = emptyFolder();
  const npm = 'console.error("npm error code ENOTFOUND"); process.exit(1)';
  const subject = packageFolder(folder.path, npm);
  subject.lock("1.0.0");
  for (let tries = 1; tries <= 2; tries++) {
    const { code, stderr } = await subject.run();
    assert.equal(code, 1);
    assert.match(stderr, /the npm registry cannot be reached/);
    assert.match(stderr, /npm error code ENOTFOUND/);
    assert.equal(subject.runs(), tries);
  }
});

test("two starts of a fresh clone install once", async () => {
  using folder = emptyFolder();
  const npm = `setTimeout(() => { ${NPM_INSTALLS} }, 300);`;
  const subject = packageFolder(folder.path, npm);
  subject.lock("1.0.0");
  const both = await Promise.all([subject.run(), subject.run()]);
  assert.deepEqual(
    both.map(({ code }) => code),
    [0, 0],
  );
  assert.equal(subject.runs(), 1);
});

test("a folder without lockfile is refused", async () => {
  using folder = emptyFolder();
  const { code, stderr } = await packageFolder(folder.path, "").run();
  assert.equal(code, 1);
  assert.match(stderr, /package-lock\.json is missing/);
});
