/**
 * `npm run build`: writes the whole package into dist/, with a package.json of its own.
 *
 * Node strips no types under node_modules, so the package holds JavaScript and declarations.
 * Invariant: dist/ holds this build only, and packs as it is (`npm pack ./dist`).
 */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const DIST = join(ROOT, "dist");

/** What `import ... from "coterie"` and its subpaths reach, without extension. */
const ENTRIES: Readonly<Record<string, string>> = {
  ".": "./actors/node",
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
  rmSync(DIST, { recursive: true, force: true });
  const tsc = join(ROOT, "node_modules", ".bin", "tsc");
  const { status } = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], {
    cwd: ROOT,
    stdio: "inherit",
  });
  if (status !== 0) process.exit(status ?? 1);
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
process.stdout.write("dist/ is written; pack it with: npm pack ./dist\n");
