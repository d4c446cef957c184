/**
 * Makes node_modules match package-lock.json before a script runs; does nothing if it does.
 *
 * Plain JavaScript: it runs on whatever Node npm has (20 or newer), and fetches the pinned Node 24
 * that runs everything else. Works offline when nothing is missing. Usage: prepare.mjs [FOLDER].
 *
 * Invariant: after exit code 0 the folder's packages are those of its lockfile.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const LAUNCHER_MAJOR_MIN = 20;
const RUNTIME_MAJOR_MIN = 24;
const LOCK_POLL_MS = 200;
const LOCK_WAIT_MS = 10 * 60_000;

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const folder = resolve(process.argv[2] ?? root);
const name = relative(root, folder) || "coterie";
const lockfile = join(folder, "package-lock.json");
const modules = join(folder, "node_modules");
const stamp = join(modules, ".coterie-prepared");
const runtime = join(modules, ".bin", "node");

function say(text) {
  process.stderr.write(`${text}\n`);
}

function fail(...lines) {
  say(`\n${name}: ${lines.join("\n  ")}`);
  process.exit(1);
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** Names this lockfile on this platform: packages hold binaries. */
function wantedStamp() {
  const hash = createHash("sha256").update(readFileSync(lockfile)).digest("hex");
  return `${hash} ${process.platform}-${process.arch}\n`;
}

function needsRuntime() {
  return readJson(join(folder, "package.json"))?.devDependencies?.node !== undefined;
}

function stampMatches(wanted) {
  try {
    return readFileSync(stamp, "utf8") === wanted && (!needsRuntime() || existsSync(runtime));
  } catch {
    return false;
  }
}

/** Whether somebody's own `npm ci` or `npm install` left exactly what the lockfile names. */
function installedMatches() {
  const wanted = readJson(lockfile)?.packages;
  const found = readJson(join(modules, ".package-lock.json"))?.packages;
  if (wanted === undefined || found === undefined) return false;
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === "" || entry.link) continue;
    const there = found[path];
    if (there === undefined && !entry.optional) return false;
    if (there !== undefined && there.version !== entry.version) return false;
    if (there !== undefined && !existsSync(join(folder, path))) return false;
  }
  return Object.keys(found).every((path) => wanted[path] !== undefined) && runtimeReady();
}

function runtimeVersion() {
  const { stdout, status } = spawnSync(runtime, ["--version"], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}

function runtimeReady() {
  if (!needsRuntime()) return true;
  return Number(/^v(\d+)/.exec(runtimeVersion() ?? "")?.[1] ?? 0) >= RUNTIME_MAJOR_MIN;
}

/** npm itself, run by the Node that runs this file, or whatever npm is on the path. */
function npmCommand() {
  const path = process.env.npm_execpath;
  if (path && /^npm/.test(basename(path)) && path.endsWith(".js")) return [process.execPath, path];
  return ["npm"];
}

/** Scripts of the packages must see this folder's settings, not those of the npm that ran us. */
function cleanEnvironment() {
  const env = { ...process.env };
  for (const key of Object.keys(env)) {
    if (/^npm_(package|lifecycle|config_local_prefix|config_prefix|command)/.test(key)) {
      delete env[key];
    }
  }
  return env;
}

function install() {
  const [command, ...before] = npmCommand();
  // The Node that runs everything is a development package that an install script completes.
  const needed = ["--include=dev", "--ignore-scripts=false"];
  const words = [
    "ci",
    ...needed,
    "--no-audit",
    "--no-fund",
    "--prefer-offline",
    "--loglevel=error",
  ];
  return new Promise((done) => {
    let output = "";
    const child = spawn(command, [...before, ...words], {
      cwd: folder,
      env: cleanEnvironment(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    const keep = (chunk) => {
      if (output.length < 20_000) output += chunk;
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.on("error", (error) => done({ code: 1, output: String(error) }));
    child.on("close", (code) => done({ code: code ?? 1, output }));
  });
}

const NETWORK =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED|network/;

function explain(output) {
  // What went wrong comes first; usage and the path of a log follow.
  const lines = output.split("\n").filter((line) => /^npm (error|ERR!) \S/.test(line));
  const told = (lines.length > 0 ? lines : output.trim().split("\n")).slice(0, 12).join("\n  ");
  if (NETWORK.test(output)) {
    fail(
      "packages are missing and the npm registry cannot be reached.",
      "Connect once and run the same command again; after that it works offline.",
      `npm said:\n  ${told}`,
    );
  }
  fail("npm ci failed.", "Fix what npm says, or run it yourself: npm ci", `npm said:\n  ${told}`);
}

function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** One install a folder at a time: two starts of a fresh clone must not remove each other's files. */
function takeLock() {
  const hash = createHash("sha256").update(folder).digest("hex").slice(0, 16);
  const lock = join(tmpdir(), `coterie-prepare-${hash}.lock`);
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (let waited = 0; waited < LOCK_WAIT_MS; waited += LOCK_POLL_MS) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      process.on("exit", () => {
        try {
          unlinkSync(lock);
        } catch {}
      });
      for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));
      return;
    } catch (error) {
      if (error.code !== "EEXIST") return; // no place for a lock: go on without
    }
    let owner = 0;
    let age = 0;
    try {
      owner = Number(readFileSync(lock, "utf8"));
      age = Date.now() - statSync(lock).mtimeMs;
    } catch {
      continue; // gone meanwhile
    }
    if (owner > 0 ? !alive(owner) : age > 5000) rmSync(lock, { force: true });
    else Atomics.wait(sleeper, 0, 0, LOCK_POLL_MS);
  }
  fail("another install of this folder does not end; remove", lock);
}

function refuseRuntime() {
  if (!existsSync(join(modules, "node"))) {
    fail("npm left out the development packages; run: npm ci --include=dev");
  }
  fail(
    `node_modules/.bin/node is ${runtimeVersion() ?? "not there"}; Node ${RUNTIME_MAJOR_MIN} is needed.`,
    "The package `node` fetches it in an install script; npm did not run it (ignore-scripts?).",
    "Run: npm ci --ignore-scripts=false --include=dev",
  );
}

async function prepare() {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < LAUNCHER_MAJOR_MIN) {
    fail(
      `this is Node ${process.version}; Node ${LAUNCHER_MAJOR_MIN} or newer is needed to install`,
      `the Node ${RUNTIME_MAJOR_MIN} that runs Coterie. Get one from https://nodejs.org`,
    );
  }
  if (!existsSync(lockfile)) fail(`${lockfile} is missing: is this a whole checkout?`);
  const wanted = wantedStamp();
  if (stampMatches(wanted)) return;
  takeLock();
  if (stampMatches(wanted)) return;
  if (!installedMatches()) {
    say(`${name}: installing packages (once, about a minute) ...`);
    const { code, output } = await install();
    if (code !== 0) explain(output);
    if (!runtimeReady()) refuseRuntime();
  }
  try {
    mkdirSync(modules, { recursive: true });
    writeFileSync(stamp, wanted);
  } catch {
    // Another user installed it: it is complete, and is looked at again at the next start.
  }
}

await prepare();
