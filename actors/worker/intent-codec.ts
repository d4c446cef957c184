/**
 * What a transaction over several workers is going to do, as bytes: enough to do it again after a
 * crash, with any number of workers. Format: docs/formats/intent.md, version 1.
 *
 * Invariant: reading what was written gives the same parts; a reader never passes the end.
 */
import { assert } from "../../runtime/base/assert.ts";
import type { Part, PartEntry } from "../protocols/transactions.ts";
import type { KeyContent } from "../vnode/commands/key-content.ts";

export const INTENT_FORMAT = 1;

const ENTRY_COMMAND = 1;
const ENTRY_CONTENT = 2;
const ENTRY_ABSENT = 3;

/** What is logged of a transaction. */
export interface Intent {
  /** 16 hexadecimal digits. */
  readonly id: string;
  readonly nowMs: number;
  readonly parts: readonly Part[];
}

/** The bytes of an intent, without its id. */
export function encodeIntent(intent: Intent): Buffer {
  const out = new Pieces();
  out.u8(INTENT_FORMAT);
  out.f64(intent.nowMs);
  out.u32(intent.parts.length);
  for (const part of intent.parts) {
    out.u32(part.number);
    out.u32(part.keyspace);
    out.u32(part.partition);
    out.u32(part.entries.length);
    for (const entry of part.entries) encodeEntry(out, entry);
  }
  return out.take();
}

function encodeEntry(out: Pieces, entry: PartEntry): void {
  if (entry.kind === "command") {
    out.u8(ENTRY_COMMAND);
    out.list(entry.args);
    return;
  }
  out.u8(entry.content === null ? ENTRY_ABSENT : ENTRY_CONTENT);
  out.bytes(entry.key);
  if (entry.content === null) return;
  const { type, until, value, names, values } = entry.content;
  out.u8(type);
  out.f64(until);
  out.bytes(value);
  out.list(names);
  out.list(values);
}

/** Reads the bytes of an intent. Fails on what this version cannot know. */
export function decodeIntent(id: string, bytes: Buffer): Intent {
  const source = new Cursor(bytes);
  assert(source.u8() === INTENT_FORMAT, "an intent has a known format");
  const nowMs = source.f64();
  const parts = source.repeat(() => ({
    number: source.u32(),
    keyspace: source.u32(),
    partition: source.u32(),
    entries: source.repeat(() => decodeEntry(source)),
  }));
  assert(source.isAtEnd, "an intent ends with its last part");
  return { id, nowMs, parts };
}

function decodeEntry(source: Cursor): PartEntry {
  const kind = source.u8();
  if (kind === ENTRY_COMMAND) return { kind: "command", args: source.list() };
  assert(kind === ENTRY_CONTENT || kind === ENTRY_ABSENT, "an intent's entries are known");
  const key = source.bytes();
  if (kind === ENTRY_ABSENT) return { kind: "content", key, content: null };
  const content: KeyContent = {
    type: source.u8(),
    until: source.f64(),
    value: source.bytes(),
    names: source.list(),
    values: source.list(),
  };
  return { kind: "content", key, content };
}

class Pieces {
  readonly #pieces: Buffer[] = [];

  u8(value: number): void {
    this.#pieces.push(Buffer.of(value));
  }

  u32(value: number): void {
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeUInt32LE(value);
    this.#pieces.push(bytes);
  }

  f64(value: number): void {
    const bytes = Buffer.allocUnsafe(8);
    bytes.writeDoubleLE(value);
    this.#pieces.push(bytes);
  }

  bytes(value: Buffer): void {
    this.u32(value.length);
    this.#pieces.push(value);
  }

  list(values: readonly Buffer[]): void {
    this.u32(values.length);
    for (const value of values) this.bytes(value);
  }

  take(): Buffer {
    return Buffer.concat(this.#pieces);
  }
}

class Cursor {
  readonly #source: Buffer;
  #at = 0;

  constructor(source: Buffer) {
    this.#source = source;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#source.length;
  }

  #take(length: number): number {
    const at = this.#at;
    assert(at + length <= this.#source.length, "an intent's fields end inside it");
    this.#at = at + length;
    return at;
  }

  u8(): number {
    return this.#source[this.#take(1)] as number;
  }

  u32(): number {
    return this.#source.readUInt32LE(this.#take(4));
  }

  f64(): number {
    return this.#source.readDoubleLE(this.#take(8));
  }

  bytes(): Buffer {
    const length = this.u32();
    const at = this.#take(length);
    return Buffer.from(this.#source.subarray(at, at + length));
  }

  list(): Buffer[] {
    return this.repeat(() => this.bytes());
  }

  repeat<T>(read: () => T): T[] {
    const items: T[] = [];
    for (let left = this.u32(); left > 0; left--) items.push(read());
    return items;
  }
}
