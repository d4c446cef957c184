/**
 * Ops of a real vnode in the neutral form, and back: what crosses between it and the model.
 */

import type { Mark } from "../../actors/vnode/contexts.ts";
import { formatDouble } from "../../runtime/base/number-text.ts";
import { type CellName, emptyCellName } from "../../runtime/causality/cell-name.ts";
import {
  MUTATE_ADD,
  MUTATE_CLEAR,
  MUTATE_EXPIRE,
  MUTATE_FLUSH,
  MUTATE_REMOVE,
  MUTATE_SET,
  OP_ID,
  OpWriter,
  type OriginDot,
  UNTIL_NEVER,
} from "../../runtime/causality/op.ts";
import { OpReader } from "../../runtime/causality/op-reader.ts";
import { formatOriginId, parseOriginId } from "../../runtime/causality/origins.ts";
import { readScore, SCORE_BYTES, writeScore } from "../../runtime/causality/score.ts";
import type { Plain } from "../support/resp.ts";
import type {
  Bytes,
  CellType,
  Dot,
  ModelReply,
  NeutralCell,
  NeutralMark,
  NeutralMutation,
  NeutralOp,
  NumberKind,
  Vector,
} from "./harness.ts";
import { CELL_TYPES, counterOf, dotOf, exactText, originOf } from "./harness.ts";
import { KEYS } from "./mix.ts";
import { parseNum } from "./numbers.ts";

/** An op as a vnode made it, with the whole vector that it followed. */
export interface VnodeOp {
  readonly bytes: Buffer;
  readonly past: Vector;
}

/** A flush, in the neutral form: of the keys of scenarios. */
const FLUSH: readonly NeutralMutation[] = KEYS.map((key) => ({ kind: "clear", key }));

export function latin1(text: Bytes): Buffer {
  return Buffer.from(text, "latin1");
}

export function typeNumber(type: CellType): number {
  return CELL_TYPES.indexOf(type) + 1;
}

export function typeName(type: number): CellType {
  return CELL_TYPES[type - 1] ?? "string";
}

export function counterName(kind: number): NumberKind | null {
  return kind === 0 ? null : kind === 1 ? "int" : "float";
}

/** Bytes of a value as the model names it: scores as text. */
export function valueText(type: CellType, isElement: boolean, value: Buffer): Bytes {
  if (type === "zset" && isElement) return formatDouble(readScore(value, 0));
  return value.toString("latin1");
}

function valueBytes(type: CellType, isElement: boolean, value: Bytes): Buffer {
  if (type !== "zset" || !isElement) return latin1(value);
  const score = Buffer.alloc(SCORE_BYTES);
  writeScore(score, 0, Number(value));
  return score;
}

export function neutralDot({ high, low, counter }: OriginDot): Dot {
  return dotOf(formatOriginId(high, low), counter);
}

export function originDot(dot: Dot): OriginDot {
  return { ...parseOriginId(originOf(dot)), counter: counterOf(dot) };
}

export function replyBytes(reply: ModelReply): Buffer {
  return Buffer.from(JSON.stringify(reply));
}

export function replyOfBytes(bytes: Buffer): ModelReply {
  return JSON.parse(bytes.toString()) as ModelReply;
}

// ---- from bytes -----------------------------------------------------------------------------------

export function exportOp({ bytes, past }: VnodeOp): NeutralOp {
  const op = new OpReader();
  if (!op.open(bytes, 0, bytes.length)) throw new Error("an op is well formed");
  const mutations: NeutralMutation[] = [];
  while (op.next()) {
    if (op.kind === MUTATE_FLUSH) mutations.push(...FLUSH);
    else mutations.push(exportMutation(op));
  }
  if (op.isBroken) throw new Error("an op's mutations end inside it");
  const origin = formatOriginId(op.originHigh, op.originLow);
  const base = { origin, counter: op.counter, past, hlc: op.hlc, mutations };
  if ((op.flags & OP_ID) === 0) return base;
  const opId = `${formatOriginId(op.idHigh, op.idLow)}:${op.idSequence}`;
  const reply = replyOfBytes(Buffer.from(bytes.subarray(op.idReplyStart, op.idReplyEnd)));
  return { ...base, opId, reply };
}

function exportMutation(op: OpReader): NeutralMutation {
  const key = op.source.toString("latin1", op.keyStart, op.keyEnd);
  if (op.kind === MUTATE_CLEAR) return { kind: "clear", key };
  const cell = exportCell(op, key);
  const covers = op.hasContext ? { covers: op.dots.map(neutralDot) } : {};
  switch (op.kind) {
    case MUTATE_SET:
      return { ...exportSet(op, cell), ...covers };
    case MUTATE_REMOVE:
      return { kind: "remove", cell, ...covers };
    case MUTATE_EXPIRE:
      return {
        kind: "expire",
        cell,
        dots: op.dots.map(neutralDot),
        at: op.at === 0 ? null : op.at,
      };
    default: {
      const number = typeof op.delta === "bigint" ? "int" : "float";
      const delta = exactText(op.delta);
      const dot = neutralDot(op.dot);
      if (op.kind === MUTATE_ADD) return { kind: "add", cell, dot, number, delta };
      return { kind: "undo", cell, dot, undone: neutralDot(op.tried), number, delta };
    }
  }
}

function exportCell(op: OpReader, key: Bytes): NeutralCell {
  if (!op.hasName) return { key, type: "head", element: "" };
  const type = typeName(op.type);
  if (type === "string") throw new Error("a string has no elements");
  return { key, type, element: op.source.toString("latin1", op.nameStart, op.nameEnd) };
}

function exportSet(op: OpReader, cell: NeutralCell): NeutralMutation & { kind: "set" } {
  const type = typeName(op.type);
  const bytes = Buffer.from(op.source.subarray(op.valueStart, op.valueEnd));
  const kind = counterName(op.counterKind);
  return {
    kind: "set",
    cell,
    type,
    value: valueText(type, op.hasName, bytes),
    ...(kind === null ? {} : { counter: kind }),
    ...(op.at === 0
      ? {}
      : op.hasName
        ? { copy: op.at }
        : { until: op.at === UNTIL_NEVER ? null : op.at }),
  };
}

// ---- to bytes -------------------------------------------------------------------------------------

export function importOp(op: NeutralOp): VnodeOp {
  const writer = new OpWriter(64);
  const { high, low } = parseOriginId(op.origin);
  writer.begin(high, low, op.counter, op.hlc);
  const past = Object.entries(op.past);
  writer.beginPast(past.length, true);
  for (const [origin, counter] of past) {
    const named = parseOriginId(origin);
    writer.pastEntry(named.high, named.low, counter);
  }
  for (const mutation of op.mutations) writeMutation(writer, mutation);
  if (op.opId !== undefined) {
    const id = parseOpId(op.opId);
    writer.opId(id.high, id.low, id.sequence, replyBytes(op.reply ?? null));
  }
  return { bytes: Buffer.from(writer.buffer.subarray(0, writer.length)), past: op.past };
}

export function parseOpId(id: string): { high: number; low: number; sequence: number } {
  const [session = "", sequence = ""] = id.split(":");
  return { ...parseOriginId(session), sequence: Number(sequence) };
}

export function writeMutation(writer: OpWriter, mutation: NeutralMutation): void {
  const start = writer.length;
  switch (mutation.kind) {
    case "clear": {
      const key = latin1(mutation.key);
      writer.clear(key, 0, key.length);
      return;
    }
    case "set":
      writeSet(writer, mutation);
      break;
    case "remove":
      writer.remove(cellNameOf(mutation.cell));
      break;
    case "expire":
      writer.expire(cellNameOf(mutation.cell), mutation.dots.map(originDot), mutation.at ?? 0);
      return;
    case "add": {
      const delta = parseNum(mutation.number, mutation.delta);
      writer.add(cellNameOf(mutation.cell), originDot(mutation.dot), delta);
      return;
    }
    case "undo": {
      const { cell, dot, undone, number, delta } = mutation;
      const amount = parseNum(number, delta);
      writer.undo(cellNameOf(cell), originDot(dot), originDot(undone), amount);
      return;
    }
  }
  if (mutation.covers !== undefined) writer.context(start, mutation.covers.map(originDot));
}

function writeSet(writer: OpWriter, set: NeutralMutation & { kind: "set" }): void {
  const { cell } = set;
  const isElement = cell.type !== "head";
  const key = latin1(cell.key);
  const value = valueBytes(set.type, isElement, set.value);
  const type = typeNumber(set.type);
  const counter = set.counter === undefined ? 0 : set.counter === "int" ? 1 : 2;
  if (!isElement) {
    const until = set.until === undefined ? 0 : (set.until ?? UNTIL_NEVER);
    writer.setHead(key, 0, key.length, type, counter, value, 0, value.length, until);
    return;
  }
  const name = latin1(cell.element);
  writer.setElement(
    key,
    0,
    key.length,
    type | (counter << 4),
    name,
    0,
    name.length,
    value,
    0,
    value.length,
    set.copy ?? 0,
  );
}

function cellNameOf({ key, type, element }: NeutralCell): CellName {
  const name = emptyCellName();
  name.key = latin1(key);
  name.keyEnd = name.key.length;
  name.type = type === "head" ? 0 : typeNumber(type);
  if (type === "head") return name;
  name.name = latin1(element);
  name.nameEnd = name.name.length;
  return name;
}

// ---- replies and contexts -------------------------------------------------------------------------

export function markOf({ dot, adds }: NeutralMark): Mark {
  const entries = Object.entries(adds);
  return {
    dot: originDot(dot),
    adds: entries.map(([origin, counter]) => originDot(`${origin}@${counter}`)),
  };
}

export function modelReply(reply: Plain): ModelReply {
  if (typeof reply === "bigint") return reply.toString();
  if (typeof reply === "string" || typeof reply === "number" || reply === null) return reply;
  if (Array.isArray(reply)) return (reply as readonly Plain[]).map(modelReply);
  if (typeof reply === "object" && "error" in reply) {
    return { error: reply.error.split(" ")[0] ?? "" };
  }
  throw new Error("RESP2 has no such reply");
}
