/**
 * What the tidy rules need to know of source files, read from TypeScript's own syntax trees.
 *
 * Invariant: facts come from syntax alone, so that a fake tree of a few lines is as good as the repo.
 */
import { type Node, type SourceFile, SyntaxKind } from "typescript/unstable/ast";
import {
  isCallExpression,
  isClassDeclaration,
  isClassExpression,
  isExportAssignment,
  isExportDeclaration,
  isIdentifier,
  isImportDeclaration,
  isNewExpression,
  isPropertyAccessExpression,
  isStringLiteral,
  isVariableStatement,
} from "typescript/unstable/ast/is";
import { createVirtualFileSystem } from "typescript/unstable/fs";
import { API } from "typescript/unstable/sync";

/**
 * How a file names another: an import, one of types only (gone at run time), or a mention: a
 * relative path in a text, such as a worker's entry.
 */
export type ImportKind = "import" | "type" | "mention";

export interface ImportFact {
  readonly specifier: string;
  readonly kind: ImportKind;
  readonly line: number;
}

export interface FunctionFact {
  readonly name: string;
  readonly line: number;
  readonly lines: number;
}

export interface NameFact {
  readonly name: string;
  readonly line: number;
}

export interface FileFacts {
  /** From the root of the tree, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly lines: number;
  readonly imports: readonly ImportFact[];
  readonly functions: readonly FunctionFact[];
  /** Calls and constructions by their written name: `Date.now`, `setTimeout`, `new Date`. */
  readonly calls: readonly NameFact[];
  /** `export default`, in either form. */
  readonly defaultExports: readonly number[];
  /** What classes extend. */
  readonly bases: readonly NameFact[];
  /** Exported constants. */
  readonly constants: readonly NameFact[];
  /** Every identifier that occurs. */
  readonly identifiers: ReadonlySet<string>;
}

const FUNCTION_KINDS: ReadonlySet<SyntaxKind> = new Set([
  SyntaxKind.FunctionDeclaration,
  SyntaxKind.FunctionExpression,
  SyntaxKind.ArrowFunction,
  SyntaxKind.MethodDeclaration,
  SyntaxKind.Constructor,
  SyntaxKind.GetAccessor,
  SyntaxKind.SetAccessor,
]);

/** Texts that may name a file; of a template, what stands before its first value. */
const TEXT_KINDS: ReadonlySet<SyntaxKind> = new Set([
  SyntaxKind.StringLiteral,
  SyntaxKind.NoSubstitutionTemplateLiteral,
  SyntaxKind.TemplateHead,
]);

class Reader {
  readonly imports: ImportFact[] = [];
  readonly functions: FunctionFact[] = [];
  readonly calls: NameFact[] = [];
  readonly defaultExports: number[] = [];
  readonly bases: NameFact[] = [];
  readonly constants: NameFact[] = [];
  readonly identifiers = new Set<string>();
  readonly #source: SourceFile;
  readonly #lineStarts: readonly number[];

  constructor(source: SourceFile) {
    this.#source = source;
    const starts = [0];
    for (const match of source.text.matchAll(/\n/g)) starts.push(match.index + 1);
    this.#lineStarts = starts;
  }

  lineAt(at: number): number {
    let low = 0;
    let high = this.#lineStarts.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((this.#lineStarts[middle] ?? 0) <= at) low = middle;
      else high = middle;
    }
    return low + 1;
  }

  lineOf(node: Node): number {
    return this.lineAt(node.getStart(this.#source));
  }

  visit(node: Node): void {
    if (FUNCTION_KINDS.has(node.kind)) this.#function(node);
    if (isIdentifier(node)) this.identifiers.add(node.text);
    else if (isImportDeclaration(node) || isExportDeclaration(node)) {
      const types = /^(import|export)\s+type\b/.test(this.#text(node));
      this.#import(node.moduleSpecifier, types ? "type" : "import");
    } else if (isExportAssignment(node)) this.defaultExports.push(this.lineOf(node));
    else if (node.kind === SyntaxKind.DefaultKeyword) this.defaultExports.push(this.lineOf(node));
    else if (isCallExpression(node)) this.#call(node.expression, node.arguments, "");
    else if (isNewExpression(node)) this.#call(node.expression, node.arguments ?? [], "new ");
    else if (isClassDeclaration(node) || isClassExpression(node)) this.#class(node);
    else if (isVariableStatement(node)) this.#constants(node);
    if (TEXT_KINDS.has(node.kind)) this.#mention(node);
    node.forEachChild((child) => {
      // `default:` of a switch is no export.
      if (child.kind !== SyntaxKind.DefaultKeyword || node.kind !== SyntaxKind.DefaultClause) {
        this.visit(child);
      }
    });
  }

  #text(node: Node): string {
    return this.#source.text.slice(node.getStart(this.#source), node.end);
  }

  #import(specifier: Node | undefined, kind: ImportKind): void {
    if (specifier === undefined || !isStringLiteral(specifier)) return;
    const line = this.lineOf(specifier);
    this.imports.push({ specifier: specifier.text, kind, line });
  }

  #mention(node: Node): void {
    const text = this.#text(node).replaceAll(/^["'`]|(\$\{|["'`])$/g, "");
    if (!/^\.\.?\/[\w./-]+$/.test(text)) return;
    this.imports.push({ specifier: text, kind: "mention", line: this.lineOf(node) });
  }

  #call(callee: Node, args: readonly Node[], before: string): void {
    const line = this.lineOf(callee);
    if (callee.kind === SyntaxKind.ImportKeyword) {
      this.#import(args[0], "import");
      return;
    }
    if (!isIdentifier(callee) && !isPropertyAccessExpression(callee)) return;
    const empty = before !== "" && args.length === 0 ? "()" : "";
    this.calls.push({ name: `${before}${this.#text(callee)}${empty}`, line });
  }

  #function(node: Node): void {
    const first = this.lineOf(node);
    const last = this.lineAt(node.end);
    const name = "name" in node && node.name !== undefined ? this.#text(node.name as Node) : "=>";
    this.functions.push({ name, line: first, lines: last - first + 1 });
  }

  #class(node: Node & { readonly heritageClauses?: readonly Node[] | undefined }): void {
    for (const clause of node.heritageClauses ?? []) {
      const text = this.#text(clause);
      if (!text.startsWith("extends")) continue;
      this.bases.push({ name: text.slice("extends".length).trim(), line: this.lineOf(clause) });
    }
  }

  #constants(node: Node): void {
    const text = this.#text(node);
    const name = /^export const (\w+)/.exec(text)?.[1];
    if (name !== undefined) this.constants.push({ name, line: this.lineOf(node) });
  }
}

function factsOf(source: SourceFile, path: string): FileFacts {
  const reader = new Reader(source);
  source.forEachChild((node) => reader.visit(node));
  const { imports, functions, calls, defaultExports, bases, constants, identifiers } = reader;
  const { text } = source;
  const lines = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
  return {
    path,
    text,
    lines,
    imports,
    functions,
    calls,
    defaultExports,
    bases,
    constants,
    identifiers,
  };
}

/** A configuration that only parses: no library, no modules looked up. */
const PARSE_ONLY = JSON.stringify({
  compilerOptions: { noLib: true, noResolve: true, types: [], allowImportingTsExtensions: true },
  include: ["**/*.ts"],
});

/** Facts of every file of a tree, given as path → text. */
export function readFacts(files: Readonly<Record<string, string>>): FileFacts[] {
  const tree: Record<string, string> = { "/tree/tsconfig.json": PARSE_ONLY };
  for (const [path, text] of Object.entries(files)) tree[`/tree/${path}`] = text;
  const api = new API({ cwd: "/tree", fs: createVirtualFileSystem(tree) });
  try {
    const snapshot = api.updateSnapshot({ openProjects: ["/tree/tsconfig.json"] });
    const program = snapshot.getProjects()[0]?.program;
    const facts: FileFacts[] = [];
    for (const path of Object.keys(files).sort()) {
      const source = program?.getSourceFile(`/tree/${path}`);
      if (source === undefined) throw new Error(`${path} was not parsed`);
      facts.push(factsOf(source, path));
    }
    return facts;
  } finally {
    api.close();
  }
}
