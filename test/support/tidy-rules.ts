/**
 * The house rules that a machine can check, as pure functions from facts to findings.
 *
 * A rule of size yields to a reason: `// tidy: function-length: why` on the line above (or, for
 * `file-length`, anywhere in the file) lets one case pass. The other rules have no exceptions.
 */
import { posix } from "node:path";
import type { FileFacts, ImportKind } from "./tidy-facts.ts";

/** One breach: where, which rule, what. */
export interface Finding {
  readonly rule: string;
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

export const FILE_LINES_MAX = 400;
export const FUNCTION_LINES_MAX = 70;

/** Layers, lowest first: a file imports from lower ones, and from its own group. */
const LAYERS: readonly (readonly string[])[] = [
  ["runtime/base"],
  ["runtime/causality", "runtime/ring", "runtime/membership", "runtime/merkle", "runtime/config"],
  ["runtime/codec", "runtime/storage", "runtime/table"],
  ["runtime/actor"],
  ["runtime/thread", "runtime/link"],
  ["actors"],
  ["client"],
  ["bin"],
  ["bench", "test", "examples"],
];

/** The group of a path: the longest name in the table that it begins with. */
export function layerOf(
  path: string,
): { readonly group: string; readonly rank: number } | undefined {
  for (const [rank, groups] of LAYERS.entries()) {
    const group = groups.find((name) => path.startsWith(`${name}/`) || path === `${name}.ts`);
    if (group !== undefined) return { group, rank };
  }
  return undefined;
}

/** Folders in whose code anything of the machine may be used. */
const EDGES = ["bin/", "bench/", "test/", "examples/"];

/** Built-in modules that only some files (or folders, ending in /) import. */
const GUARDED_MODULES: Readonly<Record<string, readonly string[]>> = {
  "node:fs": ["runtime/storage/files.ts"],
  "node:fs/promises": ["runtime/storage/files.ts"],
  "node:net": ["runtime/link/", "runtime/storage/", "actors/"],
  "node:http": ["actors/"],
  "node:os": ["runtime/base/machine.ts", "runtime/storage/folder-lock.ts"],
  "node:child_process": [],
  "node:sqlite": ["runtime/storage/folder-lock.ts"],
  "node:worker_threads": ["runtime/thread/", "actors/"],
};

/** Calls that only some files make: clocks, timers, randomness are arguments elsewhere. */
const GUARDED_CALLS: Readonly<Record<string, readonly string[]>> = {
  "Date.now": ["runtime/base/clock.ts"],
  "new Date()": ["runtime/base/clock.ts"],
  "performance.now": ["runtime/base/clock.ts"],
  "process.hrtime": ["runtime/base/clock.ts"],
  setTimeout: ["runtime/base/clock.ts"],
  setInterval: ["runtime/base/clock.ts"],
  "Math.random": ["runtime/base/prng.ts"],
  randomBytes: ["runtime/base/prng.ts"],
  randomUUID: ["runtime/base/prng.ts"],
};

const FORBIDDEN_FOLDERS = ["src", "lib", "utils", "util", "helpers", "common", "types"];

function mayUse(path: string, places: readonly string[]): boolean {
  if (EDGES.some((edge) => path.startsWith(edge))) return true;
  return places.some((place) => (place.endsWith("/") ? path.startsWith(place) : path === place));
}

/** The file that a relative specifier means, if the tree has it. */
function targetOf(from: string, specifier: string, paths: ReadonlySet<string>): string | undefined {
  const path = posix.normalize(posix.join(posix.dirname(from), specifier));
  return [path, `${path}.ts`].find((candidate) => paths.has(candidate));
}

type Edge = { readonly to: string; readonly line: number; readonly kind: ImportKind };

/** Who imports whom inside the tree. */
function edgesOf(files: readonly FileFacts[]): Map<string, Edge[]> {
  const paths = new Set(files.map(({ path }) => path));
  const edges = new Map<string, Edge[]>();
  for (const { path, imports } of files) {
    const own: Edge[] = [];
    for (const { specifier, kind, line } of imports) {
      const to = specifier.startsWith(".") ? targetOf(path, specifier, paths) : undefined;
      if (to !== undefined) own.push({ to, line, kind });
    }
    edges.set(path, own);
  }
  return edges;
}

/** Imports point to lower layers only. */
export function layers(files: readonly FileFacts[]): Finding[] {
  const findings: Finding[] = [];
  const edges = edgesOf(files);
  for (const { path } of files) {
    const own = layerOf(path);
    if (own === undefined) {
      findings.push({ rule: "layers", path, line: 1, message: "the folder is in no layer" });
      continue;
    }
    for (const { to, line, kind } of edges.get(path) ?? []) {
      const other = layerOf(to);
      if (kind === "mention" || other === undefined || other.group === own.group) continue;
      const edge = own.group === "bench" || own.group === "test";
      if (other.rank < own.rank || (edge && other.rank === own.rank)) continue;
      const message = `${own.group} imports ${to}: ${other.group} is not below it`;
      findings.push({ rule: "layers", path, line, message });
    }
  }
  return findings;
}

/** No file imports itself through others. Types that name each other are no cycle: they are erased. */
export function cycles(files: readonly FileFacts[]): Finding[] {
  const edges = edgesOf(files);
  const done = new Set<string>();
  const findings: Finding[] = [];
  const trail: string[] = [];
  const walk = (path: string) => {
    if (done.has(path)) return;
    const at = trail.indexOf(path);
    if (at >= 0) {
      const message = [...trail.slice(at), path].join(" -> ");
      findings.push({ rule: "cycles", path, line: 1, message });
      return;
    }
    trail.push(path);
    for (const { to, kind } of edges.get(path) ?? []) if (kind === "import") walk(to);
    trail.pop();
    done.add(path);
  };
  for (const { path } of files) walk(path);
  return findings;
}

/** Every file is reached from one that is run. */
export function deadFiles(
  files: readonly FileFacts[],
  isEntry: (path: string) => boolean,
): Finding[] {
  const edges = edgesOf(files);
  const reached = new Set<string>();
  const rest = files.map(({ path }) => path).filter(isEntry);
  for (let path = rest.pop(); path !== undefined; path = rest.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    for (const { to } of edges.get(path) ?? []) rest.push(to);
  }
  const dead = files.filter(({ path }) => !reached.has(path));
  return dead.map(({ path }) => ({
    rule: "dead-files",
    path,
    line: 1,
    message: "no entry point reaches it: use it or remove it",
  }));
}

/** Each dependency has one importer, where it can be replaced; dependencies are declared. */
export function dependencies(files: readonly FileFacts[], names: readonly string[]): Finding[] {
  const importers = new Map<string, string>();
  const findings: Finding[] = [];
  for (const { path, imports } of files) {
    if (path.startsWith("test/")) continue;
    for (const { specifier, line, kind } of imports) {
      if (kind === "mention" || /^(\.|node:)/.test(specifier)) continue;
      const parts = specifier.split("/");
      const name = parts.slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
      const product = !EDGES.some((edge) => path.startsWith(edge));
      const before = importers.get(name);
      if (product && !names.includes(name)) {
        const message = `${name} is not among the dependencies of package.json`;
        findings.push({ rule: "dependencies", path, line, message });
      } else if (before !== undefined && before !== path) {
        const message = `${name} is imported by ${before} too: one file wraps it`;
        findings.push({ rule: "dependencies", path, line, message });
      } else importers.set(name, path);
    }
  }
  return findings;
}

function excused({ text }: FileFacts, rule: string, line?: number): boolean {
  const lines = text.split("\n");
  const mark = new RegExp(`// tidy: ${rule}: \\S.{9,}`);
  if (line === undefined) return lines.some((candidate) => mark.test(candidate));
  return mark.test(lines[line - 2] ?? "") || mark.test(lines[line - 1] ?? "");
}

/** Files and functions stay small enough to be read at once. */
export function sizes(files: readonly FileFacts[]): Finding[] {
  const findings: Finding[] = [];
  for (const file of files) {
    const { path, lines, functions } = file;
    if (lines > FILE_LINES_MAX && !excused(file, "file-length")) {
      const message = `${lines} lines; at most ${FILE_LINES_MAX}`;
      findings.push({ rule: "file-length", path, line: 1, message });
    }
    for (const { name, line, lines: length } of functions) {
      if (length <= FUNCTION_LINES_MAX || excused(file, "function-length", line)) continue;
      const message = `${name} has ${length} lines; at most ${FUNCTION_LINES_MAX}`;
      findings.push({ rule: "function-length", path, line, message });
    }
  }
  return findings;
}

/** No default exports, no inheritance but from errors, an opening comment, no catch-all folders. */
export function forms(files: readonly FileFacts[]): Finding[] {
  const findings: Finding[] = [];
  for (const { path, text, defaultExports, bases } of files) {
    for (const line of defaultExports) {
      findings.push({ rule: "default-export", path, line, message: "exports have names" });
    }
    for (const { name, line } of bases) {
      if (/^\w*(Error|Failure)\b/.test(name)) continue;
      const message = `extends ${name}: only errors inherit`;
      findings.push({ rule: "inheritance", path, line, message });
    }
    const body = text.replace(/^#!.*\n/, "");
    if (!/^\/\*\*?\s/.test(body)) {
      const message = "a file opens with a comment: what it is and what it keeps true";
      findings.push({ rule: "opening-comment", path, line: 1, message });
    }
    const folder = posix.dirname(path).split("/");
    const wrong = folder.find((name) => FORBIDDEN_FOLDERS.includes(name));
    if (wrong !== undefined) {
      const message = `a folder called ${wrong} says nothing about what is in it`;
      findings.push({ rule: "folder-name", path, line: 1, message });
    }
  }
  return findings;
}

/** Files, sockets, clocks, timers and randomness are arguments but in the files that wrap them. */
export function guards(files: readonly FileFacts[]): Finding[] {
  const findings: Finding[] = [];
  for (const { path, imports, calls } of files) {
    for (const { specifier, line } of imports) {
      const places = Object.hasOwn(GUARDED_MODULES, specifier)
        ? GUARDED_MODULES[specifier]
        : undefined;
      if (places === undefined || mayUse(path, places)) continue;
      const message = `${specifier} is imported in ${places.join(", ") || "bin"} only`;
      findings.push({ rule: "guards", path, line, message });
    }
    for (const { name, line } of calls) {
      const places = Object.hasOwn(GUARDED_CALLS, name) ? GUARDED_CALLS[name] : undefined;
      if (places === undefined || mayUse(path, places)) continue;
      const message = `${name} is called in ${places.join(", ")} only: take it as an argument`;
      findings.push({ rule: "guards", path, line, message });
    }
  }
  return findings;
}

/** Every bound in limits.ts bounds something. */
export function unusedLimits(files: readonly FileFacts[], limitsPath: string): Finding[] {
  const limits = files.find(({ path }) => path === limitsPath);
  const others = files.filter(({ path }) => path !== limitsPath && !path.startsWith("test/"));
  const unused = (limits?.constants ?? []).filter(
    ({ name }) => !others.some(({ identifiers }) => identifiers.has(name)),
  );
  return unused.map(({ name, line }) => ({
    rule: "unused-limit",
    path: limitsPath,
    line,
    message: `${name} bounds nothing`,
  }));
}

/** Each error code has one heading in the page of errors, and each heading a code. */
export function errorHeadings(codes: readonly string[], path: string, page: string): Finding[] {
  const findings: Finding[] = [];
  const headings = [...page.matchAll(/^#{2,4} `?([A-Z][A-Z0-9_]+)`?\s*$/gm)].map(
    ([, name]) => name,
  );
  const report = (message: string) => findings.push({ rule: "error-docs", path, line: 1, message });
  for (const code of codes) {
    const count = headings.filter((heading) => heading === code).length;
    if (count !== 1) report(`${code} has ${count} headings; it needs one`);
  }
  for (const heading of headings) {
    if (heading !== undefined && !codes.includes(heading)) report(`${heading} is no error code`);
  }
  return findings;
}
