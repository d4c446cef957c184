/**
 * Versions as bytes: the form that records of several versions, snapshots and joins share.
 * Grammar and a worked example: docs/formats/versions.md.
 *
 * Origins are written as slots; a reader from another vnode passes the translation of slots.
 */
import { assert } from "../base/assert.ts";
import {
  copyBytes,
  readF64,
  readU64,
  VarintReader,
  writeF64,
  writeU64,
  writeVarint,
} from "../base/bytes.ts";
import type { AddEntry, Undo, Version } from "./cell.ts";

const EXPIRY = 1;
const ADDS = 2;
const UNDOS = 4;
const COPY = 8;

/** An upper bound of the bytes that these versions take. */
export function versionsBytesMax(versions: readonly Version[]): number {
  let bytes = 8;
  for (const v of versions) {
    bytes += 80 + v.value.length + v.adds.length * 36 + v.undos.length * 36;
  }
  return bytes;
}

/** Writes a version set; returns the end. */
export function writeVersions(target: Buffer, start: number, versions: readonly Version[]): number {
  let at = writeVarint(target, start, versions.length);
  for (const version of versions) at = writeVersion(target, at, version);
  return at;
}

function writeVersion(target: Buffer, start: number, version: Version): number {
  let at = start;
  target[at++] =
    (version.expiry === null ? 0 : EXPIRY) |
    (version.adds.length === 0 ? 0 : ADDS) |
    (version.undos.length === 0 ? 0 : UNDOS) |
    (version.copyAt === 0 ? 0 : COPY);
  target[at++] = version.type | (version.counterKind << 4);
  at = writeVarint(target, at, version.slot);
  at = writeVarint(target, at, version.counter);
  writeU64(target, at, version.hlc);
  at = writeVarint(target, at + 8, version.value.length);
  at = copyBytes(target, at, version.value, 0, version.value.length);
  if (version.copyAt !== 0) at = writeVarint(target, at, version.copyAt);
  if (version.expiry !== null) {
    at = writeVarint(target, at, version.expiry.at);
    writeU64(target, at, version.expiry.hlc);
    at = writeVarint(target, at + 8, version.expiry.slot);
  }
  if (version.adds.length > 0) {
    at = writeVarint(target, at, version.adds.length);
    for (const add of version.adds) at = writeAmount(target, at, add);
  }
  if (version.undos.length > 0) {
    at = writeVarint(target, at, version.undos.length);
    for (const undo of version.undos) at = writeAmount(target, at, undo);
  }
  return at;
}

function writeAmount(target: Buffer, start: number, amount: Undo | AddEntry): number {
  target[start] = amount.float ? 1 : 0;
  const at = writeVarint(target, writeVarint(target, start + 1, amount.slot), amount.counter);
  target.writeBigInt64LE(amount.integer, at);
  writeF64(target, at + 8, amount.real);
  return at + 16;
}

/** Reads version sets one after the other. Input is trusted (checksummed before). */
export class VersionsReader {
  readonly #varint = new VarintReader();
  #source: Buffer = Buffer.alloc(0);
  #end = 0;
  #slots: readonly number[] | undefined;

  /** Where the next read begins, and after a read its end. */
  get at(): number {
    return this.#varint.at;
  }

  /** Reads the set at [start, end). `slots` translates the writer's slots to the reader's. */
  read(source: Buffer, start: number, end: number, slots?: readonly number[]): Version[] {
    this.#source = source;
    this.#end = end;
    this.#slots = slots;
    this.#varint.at = start;
    const count = this.#number();
    const versions: Version[] = [];
    for (let i = 0; i < count; i++) versions.push(this.#version());
    return versions;
  }

  #version(): Version {
    const flags = this.#byte();
    const typeByte = this.#byte();
    const type = typeByte & 15;
    const counterKind = typeByte >>> 4;
    const slot = this.#slot();
    const counter = this.#number();
    const hlc = this.#u64();
    const valueEnd = this.#number() + this.#varint.at;
    const value = Buffer.from(this.#source.subarray(this.#varint.at, valueEnd));
    this.#varint.at = valueEnd;
    const copyAt = flags & COPY ? this.#number() : 0;
    const expiry =
      flags & EXPIRY ? { at: this.#number(), hlc: this.#u64(), slot: this.#slot() } : null;
    const adds: AddEntry[] = [];
    if (flags & ADDS) {
      for (let left = this.#number(); left > 0; left--) adds.push(this.#amount());
    }
    const undos: Undo[] = [];
    if (flags & UNDOS) for (let left = this.#number(); left > 0; left--) undos.push(this.#amount());
    return { slot, counter, hlc, type, counterKind, value, copyAt, expiry, adds, undos };
  }

  #amount(): AddEntry {
    const float = this.#byte() === 1;
    const slot = this.#slot();
    const counter = this.#number();
    const at = this.#varint.at;
    this.#varint.at += 16;
    return {
      slot,
      counter,
      integer: this.#source.readBigInt64LE(at),
      real: readF64(this.#source, at + 8),
      float,
    };
  }

  #byte(): number {
    return this.#source[this.#varint.at++] as number;
  }

  #u64(): number {
    this.#varint.at += 8;
    return readU64(this.#source, this.#varint.at - 8);
  }

  #number(): number {
    const value = this.#varint.read(this.#source, this.#end);
    assert(value >= 0, "a version set ends inside its bytes");
    return value;
  }

  #slot(): number {
    const slot = this.#number();
    if (this.#slots === undefined) return slot;
    const translated = this.#slots[slot];
    assert(translated !== undefined, "a version names an origin of its table");
    return translated;
  }
}
