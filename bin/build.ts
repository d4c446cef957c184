/**
 * `npm run build`: writes dist/, what the package runs: JavaScript and declarations, since Node strips
 * no types under node_modules. `npm pack` does it first and packs the checkout's README beside it.
 *
 * Invariant: the folder holds this build only.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const DIST = join(ROOT, "dist");

interface Manifest {
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: { readonly ".": Readonly<Record<string, string>> };
}

function compile(): void {
  rmSync(DIST, { recursive: true, force: true });
  const tsc = join(ROOT, "node_modules", ".bin", "tsc");
  const words = [tsc, "-p", "tsconfig.build.json", "--outDir", DIST];
  const { status } = spawnSync(process.execPath, words, { cwd: ROOT, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

/** Everything that the package's manifest points to is there. */
function checkEntries({ bin, exports }: Manifest): void {
  for (const path of [...Object.values(bin), ...Object.values(exports["."])]) {
    if (existsSync(join(ROOT, path))) continue;
    process.stderr.write(`build: ${path}, which package.json names, was not written\n`);
    process.exit(1);
  }
}

compile();
const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Manifest;
checkEntries(manifest);
// For the code in dist/, which finds its version one folder up.
const { version } = manifest;
writeFileSync(join(DIST, "package.json"), `${JSON.stringify({ version, type: "module" })}\n`);
chmodSync(join(DIST, "bin", "coterie.js"), 0o755);
