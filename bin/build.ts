/**
 * `npm run build [-- FOLDER]`: writes the whole package into dist/ (or another folder), with a
 * package.json of its own.
 *
 * Node strips no types under node_modules, so the package holds JavaScript and declarations.
 * Invariant: the folder holds this build only, and packs as it is (`npm pack ./dist`).
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const DIST = resolve(process.argv[2] ?? join(ROOT, "dist"));

/** What `import ... from "coterie"` and its subpaths reach, without extension. */
const ENTRIES: Readonly<Record<string, string>> = {
  ".": "./client/embedded",
};

/** Files beside the code that belong to the package. */
const EXTRAS = ["README.md", "LICENSE", "CHANGELOG.md", "cluster.config.schema.json"];

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly description?: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

function compile(): void {
  // A folder of somebody else's is not emptied.
  if (existsSync(DIST) && readdirSync(DIST).length > 0 && !isBuild()) {
    process.stderr.write(`build: ${DIST} holds something else; choose an empty folder\n`);
    process.exit(1);
  }
  rmSync(DIST, { recursive: true, force: true });
  const tsc = join(ROOT, "node_modules", ".bin", "tsc");
  const { status } = spawnSync(
    process.execPath,
    [tsc, "-p", "tsconfig.build.json", "--outDir", DIST],
    {
      cwd: ROOT,
      stdio: "inherit",
    },
  );
  if (status !== 0) process.exit(status ?? 1);
}

function isBuild(): boolean {
  return existsSync(join(DIST, "bin", "coterie.js")) || DIST === join(ROOT, "dist");
}

function writeManifest(): void {
  const text = readFileSync(join(ROOT, "package.json"), "utf8");
  const { name, version, description, license, dependencies } = JSON.parse(text) as Manifest;
  const exports: Record<string, unknown> = { "./package.json": "./package.json" };
  for (const [path, entry] of Object.entries(ENTRIES)) {
    exports[path] = { types: `${entry}.d.ts`, default: `${entry}.js` };
    if (!existsSync(join(DIST, `${entry}.js`))) {
      process.stderr.write(`build: the entry ${entry}.js of "${path}" was not written\n`);
      process.exit(1);
    }
  }
  const manifest = {
    name,
    version,
    ...(description === undefined ? {} : { description }),
    license,
    type: "module",
    engines: { node: ">=24" },
    bin: { coterie: "bin/coterie.js" },
    exports,
    dependencies,
  };
  writeFileSync(join(DIST, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
}

compile();
writeManifest();
for (const file of EXTRAS) {
  if (existsSync(join(ROOT, file))) copyFileSync(join(ROOT, file), join(DIST, file));
}
chmodSync(join(DIST, "bin", "coterie.js"), 0o755);
process.stdout.write(`${DIST} is written; pack it with: npm pack ${DIST}\n`);
