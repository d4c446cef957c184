/**
 * The client's side of the Redis protocol, for tests: encodes commands, reads every reply type of
 * RESP2 and RESP3. Written apart from runtime/codec, so that one checks the other; strict: what
 * the protocol does not allow throws.
 */

/** A reply as it came, type and all. Bytes stay bytes. */
export type Reply =
  | { readonly kind: "simple"; readonly text: string }
  | { readonly kind: "error"; readonly text: string }
  | { readonly kind: "integer"; readonly value: bigint }
  | { readonly kind: "bulk"; readonly bytes: Buffer }
  | { readonly kind: "null" }
  | { readonly kind: "nullBulk" }
  | { readonly kind: "nullArray" }
  | { readonly kind: "array"; readonly items: readonly Reply[] }
  | { readonly kind: "set"; readonly items: readonly Reply[] }
  | { readonly kind: "push"; readonly items: readonly Reply[] }
  | { readonly kind: "map"; readonly entries: readonly (readonly [Reply, Reply])[] }
  | { readonly kind: "double"; readonly value: number; readonly text: string }
  | { readonly kind: "boolean"; readonly value: boolean }
  | { readonly kind: "bigNumber"; readonly value: bigint }
  | { readonly kind: "verbatim"; readonly format: string; readonly text: string };

/** A reply as a test likes to compare it: see `plain`. */
export type Plain =
  | string
  | number
  | bigint
  | boolean
  | null
  | { readonly error: string }
  | { readonly map: readonly (readonly [Plain, Plain])[] }
  | readonly Plain[];

/** Strings become UTF-8, Buffers stay. */
export function encodeCommand(args: readonly (string | Buffer)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)];
  for (const arg of args) {
    const bytes = typeof arg === "string" ? Buffer.from(arg) : arg;
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from("\r\n"));
  }
  return Buffer.concat(parts);
}

/**
 * Natural values: texts and bulks as latin1 strings, integers as numbers (bigint past 2^53), nulls
 * of every kind as null, arrays, sets and pushes as arrays, errors as { error }.
 */
export function plain(reply: Reply): Plain {
  switch (reply.kind) {
    case "simple":
    case "verbatim":
      return reply.text;
    case "error":
      return { error: reply.text };
    case "bulk":
      return reply.bytes.toString("latin1");
    case "null":
    case "nullBulk":
    case "nullArray":
      return null;
    case "integer": {
      const value = Number(reply.value);
      return Number.isSafeInteger(value) ? value : reply.value;
    }
    case "double":
    case "boolean":
    case "bigNumber":
      return reply.value;
    case "map":
      return { map: reply.entries.map(([key, value]) => [plain(key), plain(value)] as const) };
    case "array":
    case "set":
    case "push":
      return reply.items.map(plain);
  }
}

/** An aggregate whose items have not all been read. */
interface Open {
  readonly kind: "array" | "set" | "push" | "map";
  readonly size: number;
  readonly items: Reply[];
}

const AGGREGATES: ReadonlyMap<string, Open["kind"]> = new Map([
  ["*", "array"],
  ["~", "set"],
  [">", "push"],
  ["%", "map"],
]);

/** Turns the bytes of a connection into replies, however they are cut. */
export class ReplyReader {
  #chunks: Buffer[] = [];
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  readonly #open: Open[] = [];

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
  }

  /** The next whole reply; undefined until more bytes arrive. */
  next(): Reply | undefined {
    if (this.#chunks.length > 0) {
      this.#bytes = Buffer.concat([this.#bytes.subarray(this.#at), ...this.#chunks]);
      this.#chunks = [];
      this.#at = 0;
    }
    for (;;) {
      const item = this.#item();
      if (item === undefined) return undefined;
      if (item === OPENED) continue;
      const whole = this.#close(item);
      if (whole !== undefined) return whole;
    }
  }

  /** Every whole reply that has arrived. */
  all(): Reply[] {
    const replies: Reply[] = [];
    for (let reply = this.next(); reply !== undefined; reply = this.next()) replies.push(reply);
    return replies;
  }

  /** Bytes that belong to no whole item yet. */
  get rest(): number {
    let chunks = 0;
    for (const chunk of this.#chunks) chunks += chunk.length;
    return this.#bytes.length - this.#at + chunks;
  }

  /** Puts an item where it belongs; the outermost reply if that completes it. */
  #close(item: Reply): Reply | undefined {
    let whole = item;
    for (let open = this.#open.at(-1); open !== undefined; open = this.#open.at(-1)) {
      open.items.push(whole);
      if (open.items.length < open.size) return undefined;
      this.#open.pop();
      whole = closed(open);
    }
    return whole;
  }

  #item(): Reply | typeof OPENED | undefined {
    const end = this.#bytes.indexOf("\r\n", this.#at);
    if (end < 0) return undefined;
    const line = this.#bytes.toString("latin1", this.#at, end);
    const type = line[0] ?? "";
    const rest = line.slice(1);
    if (/[\r\n]/.test(line)) throw new Error(`a line end within ${JSON.stringify(line)}`);
    if (type === "$" || type === "=") return this.#blob(type, rest, end + 2);
    this.#at = end + 2;
    const kind = AGGREGATES.get(type);
    if (kind === undefined) return scalar(type, rest);
    if (type === "*" && rest === "-1") return { kind: "nullArray" };
    const size = count(rest) * (kind === "map" ? 2 : 1);
    const open: Open = { kind, size, items: [] };
    if (size === 0) return closed(open);
    this.#open.push(open);
    return OPENED;
  }

  #blob(type: string, rest: string, start: number): Reply | undefined {
    if (type === "$" && rest === "-1") {
      this.#at = start;
      return { kind: "nullBulk" };
    }
    const end = start + count(rest);
    if (this.#bytes.length < end + 2) return undefined;
    if (this.#bytes.toString("latin1", end, end + 2) !== "\r\n") throw new Error("no CRLF");
    const bytes = Buffer.from(this.#bytes.subarray(start, end));
    this.#at = end + 2;
    if (type === "$") return { kind: "bulk", bytes };
    if (bytes[3] !== 58) throw new Error("a verbatim reply has no format");
    const format = bytes.toString("latin1", 0, 3);
    return { kind: "verbatim", format, text: bytes.toString("utf8", 4) };
  }
}

const OPENED = Symbol("opened");

function closed(open: Open): Reply {
  const { kind, items } = open;
  if (kind !== "map") return { kind, items };
  const entries: [Reply, Reply][] = [];
  for (let i = 0; i + 1 < items.length; i += 2) {
    entries.push([items[i] as Reply, items[i + 1] as Reply]);
  }
  return { kind, entries };
}

function count(text: string): number {
  if (!/^(0|[1-9][0-9]*)$/.test(text)) throw new Error(`no length: ${JSON.stringify(text)}`);
  return Number(text);
}

function integer(text: string): bigint {
  if (!/^(0|-?[1-9][0-9]*)$/.test(text)) throw new Error(`no integer: ${JSON.stringify(text)}`);
  return BigInt(text);
}

function scalar(type: string, rest: string): Reply {
  switch (type) {
    case "+":
      return { kind: "simple", text: rest };
    case "-":
      return { kind: "error", text: rest };
    case ":":
      return { kind: "integer", value: integer(rest) };
    case "(":
      return { kind: "bigNumber", value: integer(rest) };
    case ",":
      return { kind: "double", value: double(rest), text: rest };
    case "#":
      if (rest !== "t" && rest !== "f") throw new Error(`no boolean: ${rest}`);
      return { kind: "boolean", value: rest === "t" };
    case "_":
      if (rest !== "") throw new Error(`no null: ${rest}`);
      return { kind: "null" };
    default:
      throw new Error(`no reply begins with ${JSON.stringify(type + rest)}`);
  }
}

function double(text: string): number {
  if (text === "inf") return Infinity;
  if (text === "-inf") return -Infinity;
  if (text === "nan") return Number.NaN;
  if (!/^-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?$/.test(text)) throw new Error(`no double: ${text}`);
  return Number(text);
}
