/**
 * `npm test [GROUP...]`: one run of node's own test runner over every group of tests.
 *
 * A group is a folder of test/ (or `tidy`). Invariant: nothing is left out silently: a group that
 * cannot run says why, and under CI=true that is a failure; so is a run that executed no test.
 */
import { spawnSync } from "node:child_process";
import { existsSync, globSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";
import { nearestName } from "../runtime/config/nearest.ts";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
/** Test files at a time. Some start servers of several threads, so no more than the usual cores. */
const CONCURRENCY = 2;
/** A file that hangs fails instead of stopping the run. */
const FILE_TIMEOUT_MS = 10 * 60_000;
/** Folders of test/ that hold no tests of their own. */
const SUPPORT_FOLDERS = ["support", "golden", "model", "harness"];

/** What a group needs; undefined if it is there, else why it is not. */
const NEEDS: Readonly<Record<string, () => string | undefined>> = {
  compat: installedCompat,
  differential: () => {
    const found = spawnSync("redis-server", ["--version"]).status === 0;
    return found ? undefined : "redis-server is not installed (apt-get install redis-server)";
  },
  faults: () => {
    const attached = spawnSync("sh", ["-c", "sleep 0.2 & strace -qq -o /dev/null -p $!"]);
    if (attached.status === 0) return undefined;
    return "strace is not installed (apt-get install strace), or may not attach to a process here";
  },
  tools: () => {
    const tools = ["redis-cli", "redis-benchmark", "script"];
    const missing = tools.filter((tool) => spawnSync(tool, ["--version"]).status !== 0);
    if (missing.length === 0) return undefined;
    return `not installed: ${missing.join(", ")} (apt-get install redis-tools bsdutils)`;
  },
};

/** Installs test/compat, a package of its own with the real clients. */
function installedCompat(): string | undefined {
  const folder = join(ROOT, "test", "compat");
  const script = join(ROOT, "bin", "prepare.mjs");
  const { status } = spawnSync(process.execPath, [script, folder], { stdio: "inherit" });
  return status === 0 ? undefined : "its client packages cannot be installed (see above)";
}

function testFiles(group: string): string[] {
  if (group === "tidy") return [join(ROOT, "test", "tidy.test.ts")];
  const files = globSync(`test/${group}/**/*.test.ts`, {
    cwd: ROOT,
    exclude: (path) => String(path).includes("node_modules"),
  });
  return files.sort().map((file) => join(ROOT, file));
}

function groupNames(): string[] {
  const folders = readdirSync(join(ROOT, "test"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !SUPPORT_FOLDERS.includes(entry.name))
    .map(({ name }) => name);
  return ["tidy", ...folders.sort()];
}

interface Selection {
  readonly files: readonly string[];
  readonly skipped: readonly string[];
}

function select(groups: readonly string[]): Selection {
  const files: string[] = [];
  const skipped: string[] = [];
  for (const group of groups) {
    const found = testFiles(group);
    const reason = found.length === 0 ? "it holds no tests" : NEEDS[group]?.();
    if (reason === undefined) files.push(...found);
    else skipped.push(`${group}: ${reason}`);
  }
  return { files, skipped };
}

function refuse(text: string): never {
  process.stderr.write(`${text}\n`);
  process.exit(1);
}

const known = groupNames();
const wanted = process.argv.slice(2);
for (const group of wanted) {
  if (known.includes(group)) continue;
  const nearest = nearestName(group, known);
  const hint = nearest === undefined ? known.join(", ") : `did you mean ${nearest}?`;
  refuse(`no such group of tests: ${group}; ${hint}`);
}

const { files, skipped } = select(wanted.length === 0 ? known : wanted);
for (const line of skipped) process.stdout.write(`skipped group ${line}\n`);
if (skipped.length > 0 && process.env.CI === "true") {
  refuse("under CI=true every group of tests must run");
}
if (files.length === 0) refuse("no test to run");
for (const file of files) if (!existsSync(file)) refuse(`no such file: ${file}`);

let executed = 0;
let passedOver = 0;
const events = run({ files: [...files], concurrency: CONCURRENCY, timeout: FILE_TIMEOUT_MS });
events.on("test:fail", ({ todo }) => {
  if (todo === undefined || todo === false) process.exitCode = 1;
});
events.on("test:summary", ({ file, counts }) => {
  if (file !== undefined) return;
  executed = counts.tests - counts.skipped;
  passedOver = counts.skipped;
});
events.on("end", () => {
  if (executed === 0) refuse("no test was executed");
  if (passedOver > 0 && process.env.CI === "true") refuse("under CI=true no test may be skipped");
});
events.compose(spec).pipe(process.stdout);
