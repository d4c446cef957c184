/**
 * The house rules of style.md that a machine can check, on this repo; and that each rule can fail.
 */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { errorCodes } from "../runtime/base/errors.ts";
import { type FileFacts, readFacts } from "./support/tidy-facts.ts";
import {
  cycles,
  deadFiles,
  dependencies,
  errorHeadings,
  FILE_LINES_MAX,
  type Finding,
  FUNCTION_LINES_MAX,
  forms,
  guards,
  layers,
  sizes,
  unusedLimits,
} from "./support/tidy-rules.ts";

const ROOT = join(import.meta.dirname, "..");
const ERRORS_PAGE = "docs/errors.md";
const LIMITS = "runtime/base/limits.ts";

/** What is run as it is: everything else must be reached from one of these. */
function isEntry(path: string): boolean {
  return (
    path === "actors/node.ts" ||
    /^(bin|bench)\/[^/]+\.ts$/.test(path) ||
    (path.startsWith("test/") && path.endsWith(".test.ts")) ||
    /^(client|examples)\/[^/]+\.ts$/.test(path)
  );
}

function repository(): FileFacts[] {
  const files: Record<string, string> = {};
  const folders = "{actors,bench,bin,client,examples,runtime,test}";
  const paths = globSync(`${folders}/**/*.ts`, {
    cwd: ROOT,
    exclude: (path) => String(path).includes("node_modules"),
  });
  for (const path of paths) files[path] = readFileSync(join(ROOT, path), "utf8");
  return readFacts(files);
}

/** Fails with every finding on a line of its own. */
function assertNone(findings: readonly Finding[]): void {
  const lines = findings.map(({ rule, path, line, message }) => {
    return `  ${path}:${line}: ${rule}: ${message}`;
  });
  if (lines.length > 0) assert.fail(`${lines.length} findings\n${lines.join("\n")}`);
}

/** The rules that a fake tree breaks. */
function broken(
  files: Readonly<Record<string, string>>,
  rule: (facts: FileFacts[]) => readonly Finding[],
): string[] {
  return rule(readFacts(files)).map((finding) => `${finding.path}:${finding.line}`);
}

const repo = repository();

test("imports point to lower layers only", () => assertNone(layers(repo)));

test("no file imports itself through others", () => assertNone(cycles(repo)));

test("every file is reached from an entry point", () => assertNone(deadFiles(repo, isEntry)));

test("each dependency is imported by one file", () => {
  const text = readFileSync(join(ROOT, "package.json"), "utf8");
  const { dependencies: names } = JSON.parse(text) as { dependencies: Record<string, string> };
  assertNone(dependencies(repo, Object.keys(names)));
});

test("files and functions are small", () => assertNone(sizes(repo)));

test("exports have names and files open with a comment", () => assertNone(forms(repo)));

test("clocks, randomness, files and sockets are used in their wrappers only", () =>
  assertNone(guards(repo)));

test("every limit bounds something", () => assertNone(unusedLimits(repo, LIMITS)));

test("every error code has one heading in the page of errors", () => {
  const path = join(ROOT, ERRORS_PAGE);
  const page = existsSync(path) ? readFileSync(path, "utf8") : "";
  assertNone(errorHeadings(Object.keys(errorCodes), ERRORS_PAGE, page));
});

test("an import against the layers is found, a sibling layer's included", () => {
  const files = {
    "runtime/base/a.ts": 'import { b } from "../table/b.ts";\n',
    "runtime/table/b.ts": 'import "../storage/c.ts";\nimport type { X } from "../base/a.ts";\n',
    "runtime/storage/c.ts": "export const c = 1;\n",
    "actors/d.ts": 'export { c } from "../runtime/storage/c.ts";\n',
    "runtime/config.ts": 'await import("../actors/d.ts");\n',
    "elsewhere/e.ts": "",
  };
  assert.deepEqual(broken(files, layers), [
    "elsewhere/e.ts:1",
    "runtime/base/a.ts:1",
    "runtime/config.ts:1",
    "runtime/table/b.ts:1",
  ]);
});

test("a cycle is found, but not in types alone", () => {
  const files = {
    "actors/a.ts": 'import "./b.ts";',
    "actors/b.ts": 'import { type C } from "./c.ts";',
    "actors/e.ts": 'import type { F } from "./f.ts";',
    "actors/f.ts": 'import "./e.ts";',
    "actors/c.ts": 'import "./a.ts";',
    "actors/d.ts": 'import "./a.ts";',
  };
  assert.equal(broken(files, cycles).length, 1);
});

test("a dead file is found, and a worker's entry is alive", () => {
  const files = {
    "actors/node.ts": 'new Worker(new URL("./worker.ts", import.meta.url));',
    "actors/worker.ts": `new Worker(new URL(\`./pool/jobs\${extension}\`, import.meta.url));`,
    "actors/pool/jobs.ts": "",
    "actors/old.ts": 'import "./older.ts";',
    "actors/older.ts": "",
  };
  const rule = (facts: FileFacts[]) => deadFiles(facts, isEntry);
  assert.deepEqual(broken(files, rule), ["actors/old.ts:1", "actors/older.ts:1"]);
});

test("a dependency with two importers is found, and one that is not declared", () => {
  const files = {
    "runtime/link/socket.ts": 'import { WebSocket } from "ws";',
    "actors/gateway.ts": 'import type { Server } from "ws/server";',
    "actors/pack.ts": 'import { pack } from "@scope/pack/fast";',
    "test/a.test.ts": 'import { WebSocket } from "ws";',
  };
  const rule = (facts: FileFacts[]) => dependencies(facts, ["ws"]);
  assert.deepEqual(broken(files, rule), ["actors/pack.ts:1", "runtime/link/socket.ts:1"]);
});

test("a long file and a long function are found unless they say why", () => {
  const long = (lines: number, before = "") => {
    return `${before}function long() {\n${"  step();\n".repeat(lines - 2)}}\n`;
  };
  const reason = "// tidy: function-length: one state machine reads best in one piece\n";
  const files = {
    "actors/fits.ts": long(FUNCTION_LINES_MAX),
    "actors/function.ts": long(FUNCTION_LINES_MAX + 1),
    "actors/excused.ts": long(FUNCTION_LINES_MAX + 1, reason),
    "actors/unreasoned.ts": long(FUNCTION_LINES_MAX + 1, "// tidy: function-length: no\n"),
    "actors/arrow.ts": `const f = {\n  g: () => {\n${"    step();\n".repeat(70)}  },\n};\n`,
    "actors/full.ts": "step();\n".repeat(FILE_LINES_MAX),
    "actors/long.ts": "step();\n".repeat(FILE_LINES_MAX + 1),
  };
  assert.deepEqual(broken(files, sizes), [
    "actors/arrow.ts:2",
    "actors/function.ts:1",
    "actors/long.ts:1",
    "actors/unreasoned.ts:2",
  ]);
});

test("default exports, inheritance, missing comments and vague folders are found", () => {
  const comment = "/** What it is. */\n";
  const files = {
    "actors/a.ts": `${comment}export default 1;\n`,
    "actors/b.ts": `${comment}export default function b() {}\n`,
    "actors/c.ts": `${comment}class C extends Base {}\nclass D extends Error {}\n`,
    "actors/d.ts": "export const d = 1;\n",
    "actors/utils/e.ts": comment,
    "actors/f.ts": `#!/usr/bin/env node\n${comment}switch (f) {\n  default:\n}\n`,
  };
  assert.deepEqual(broken(files, forms), [
    "actors/a.ts:2",
    "actors/b.ts:2",
    "actors/c.ts:2",
    "actors/d.ts:1",
    "actors/utils/e.ts:1",
  ]);
});

test("a clock, a timer, randomness or a file outside its wrapper is found", () => {
  const files = {
    "runtime/base/clock.ts": "Date.now();\nsetTimeout(f, 1);\n",
    "runtime/storage/files.ts": 'import { open } from "node:fs";\n',
    "actors/a.ts": "const now = Date.now();\nnew Date(now);\nnew Date();\n",
    "actors/b.ts": 'import { readFile } from "node:fs/promises";\nMath.random();\n',
    "actors/c.ts": "timers.setTimeout(f);\nsetTimeout(f, 1);\n",
    "bin/d.ts": 'import "node:fs";\nDate.now();\n',
  };
  assert.deepEqual(broken(files, guards), [
    "actors/a.ts:1",
    "actors/a.ts:3",
    "actors/b.ts:1",
    "actors/b.ts:2",
    "actors/c.ts:2",
  ]);
});

test("a limit that bounds nothing is found, one that only tests use included", () => {
  const files = {
    [LIMITS]: "export const USED = 1;\nexport const UNUSED = 2;\nexport const TESTED = 3;\n",
    "actors/a.ts": "step(USED);",
    "test/a.test.ts": "step(TESTED);",
  };
  const rule = (facts: FileFacts[]) => unusedLimits(facts, LIMITS);
  assert.deepEqual(broken(files, rule), [`${LIMITS}:2`, `${LIMITS}:3`]);
});

test("an error code without heading is found, and a heading without code", () => {
  const page = "# Errors\n\n## TIMEOUT\n\n## GONE\n\n## `CORRUPT`\n\n### CORRUPT\n";
  const findings = errorHeadings(["TIMEOUT", "CORRUPT", "NEW"], ERRORS_PAGE, page);
  assert.deepEqual(
    findings.map(({ message }) => message),
    [
      "CORRUPT has 2 headings; it needs one",
      "NEW has 0 headings; it needs one",
      "GONE is no error code",
    ],
  );
});
