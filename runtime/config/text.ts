/**
 * JSON text to a value with the place of every part, so that each problem names line and column.
 *
 * Stricter than JSON.parse: a name twice in one object is an error, and objects have no prototype,
 * so that "__proto__" is a name like any other (the checker then refuses it as unknown).
 */

/** Deepest nesting of a configuration. */
const DEPTH_MAX = 32;

/** Where something begins; both count from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

export type ParsedText =
  | {
      readonly kind: "parsed";
      readonly value: unknown;
      /** Where the member at a path stands, or the nearest member around it that does. */
      readonly placeOf: (path: string) => Place;
    }
  | { readonly kind: "invalid"; readonly place: Place; readonly message: string };

/** Path of a member: "a", "a.b", "a[0]"; names that are no identifiers are quoted. */
export function memberPath(path: string, name: string | number): string {
  if (typeof name === "number") return `${path}[${name}]`;
  const plain = /^[$\w-]{1,64}$/.test(name) ? name : JSON.stringify(name.slice(0, 64));
  return path === "" ? plain : `${path}.${plain}`;
}

class Failure extends Error {
  readonly at: number;

  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

class Parser {
  readonly #text: string;
  #at = 0;
  readonly starts = new Map<string, number>();

  constructor(text: string) {
    this.#text = text;
  }

  whole(): unknown {
    const value = this.#value("", 0);
    this.#skip();
    if (this.#at < this.#text.length) this.#fail("something follows the end of the object");
    return value;
  }

  #value(path: string, depth: number): unknown {
    this.#skip();
    if (depth > DEPTH_MAX) this.#fail("nested too deeply");
    if (!this.starts.has(path)) this.starts.set(path, this.#at);
    const first = this.#text[this.#at];
    if (first === "{") return this.#object(path, depth);
    if (first === "[") return this.#list(path, depth);
    if (first === '"') return this.#string();
    return this.#word();
  }

  #object(path: string, depth: number): unknown {
    const members: Record<string, unknown> = Object.create(null);
    this.#at++;
    if (this.#take("}")) return members;
    for (;;) {
      this.#skip();
      const start = this.#at;
      if (this.#text[start] === "}") this.#fail("a comma before } is not allowed in JSON");
      if (this.#text[start] !== '"') this.#fail("expected a field name in double quotes");
      const name = this.#string();
      if (Object.hasOwn(members, name)) {
        this.#at = start;
        this.#fail(`the field ${JSON.stringify(name)} is there twice`);
      }
      const inner = memberPath(path, name);
      this.starts.set(inner, start);
      if (!this.#take(":")) this.#fail('expected ":" after the field name');
      members[name] = this.#value(inner, depth + 1);
      if (this.#take("}")) return members;
      if (!this.#take(",")) this.#fail('expected "," or "}"');
    }
  }

  #list(path: string, depth: number): unknown {
    const items: unknown[] = [];
    this.#at++;
    if (this.#take("]")) return items;
    for (;;) {
      this.#skip();
      if (this.#text[this.#at] === "]") this.#fail("a comma before ] is not allowed in JSON");
      items.push(this.#value(memberPath(path, items.length), depth + 1));
      if (this.#take("]")) return items;
      if (!this.#take(",")) this.#fail('expected "," or "]"');
    }
  }

  #string(): string {
    const start = this.#at;
    for (let at = start + 1; ; at++) {
      const code = this.#text.charCodeAt(at);
      if (at >= this.#text.length || code < 32) this.#fail('text without its closing "');
      if (code === 92) at++;
      else if (code === 34) {
        this.#at = at + 1;
        return this.#json(start, "text with a wrong escape") as string;
      }
    }
  }

  #word(): unknown {
    const start = this.#at;
    const match = /^[^\s,:{}[\]"]+/.exec(this.#text.slice(start, start + 64));
    if (match === null) {
      const end = start >= this.#text.length;
      this.#fail(end ? "the text ends too early" : `unexpected ${this.#text[start] ?? ""}`);
    }
    const word = match?.[0] ?? "";
    if (word.startsWith("//") || word.startsWith("/*") || word.startsWith("#")) {
      this.#fail("comments are not allowed in JSON");
    }
    this.#at = start + word.length;
    return this.#json(start, `${word} is no JSON value (text needs double quotes)`);
  }

  #json(start: number, message: string): unknown {
    try {
      return JSON.parse(this.#text.slice(start, this.#at));
    } catch {
      this.#at = start;
      return this.#fail(message);
    }
  }

  #take(mark: string): boolean {
    this.#skip();
    if (this.#text[this.#at] !== mark) return false;
    this.#at++;
    return true;
  }

  #skip(): void {
    while (" \t\r\n".includes(this.#text[this.#at] ?? "x")) this.#at++;
    const two = this.#text.slice(this.#at, this.#at + 2);
    if (two === "//" || two === "/*") this.#fail("comments are not allowed in JSON");
  }

  #fail(message: string): never {
    throw new Failure(this.#at, message);
  }
}

function startOf(starts: ReadonlyMap<string, number>, path: string): number {
  for (let part = path; part !== ""; part = part.replace(/(^|\.|\[)[^.[]*$/, "")) {
    const start = starts.get(part);
    if (start !== undefined) return start;
  }
  return starts.get("") ?? 0;
}

function placeAt(text: string, at: number): Place {
  const before = text.slice(0, at).split("\n");
  return { line: before.length, column: (before.at(-1) ?? "").length + 1 };
}

/** Parses a configuration text. Never throws. A byte order mark at its start is skipped. */
export function parseConfigText(source: string): ParsedText {
  const text = source.startsWith("\uFEFF") ? source.slice(1) : source;
  const parser = new Parser(text);
  try {
    const value = parser.whole();
    const find = (path: string) => placeAt(text, startOf(parser.starts, path));
    return { kind: "parsed", value, placeOf: find };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { kind: "invalid", place: placeAt(text, error.at), message: error.message };
  }
}
