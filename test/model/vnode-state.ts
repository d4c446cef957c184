/**
 * What a partition holds, and what a reader of a key sees, in the canonical form of the harness.
 */
import type { KeyAccess } from "../../actors/vnode/key-access.ts";
import type { Version } from "../../runtime/causality/cell.ts";
import { versionBytes } from "../../runtime/causality/counter-value.ts";
import { formatOriginId } from "../../runtime/causality/origins.ts";
import { hides } from "../../runtime/table/garbage.ts";
import type { Partition } from "../../runtime/table/partition.ts";
import { BLOB, EXPIRY, MARKED } from "../../runtime/table/record.ts";
import type { Ref } from "../../runtime/table/slab-pool.ts";
import type {
  Bytes,
  CanonicalState,
  CanonicalValue,
  CanonicalVersion,
  NeutralCell,
  Origin,
  Vector,
} from "./harness.ts";
import { cellName, compareDots, dotOf, exactText } from "./harness.ts";
import { counterName, latin1, replyOfBytes, typeName, valueText } from "./neutral-op.ts";

const NO_CUT: Float64Array = new Float64Array(0);

type CanonicalCell = CanonicalState["cells"][number];

export function canonicalState(partition: Partition): CanonicalState {
  const { origins, opIds } = partition;
  const dot = (slot: number, counter: number) => dotOf(origins.id(slot), counter);
  const calls = [...opIds.calls.values()].map(({ high, low, sequence, tries, reply }) => ({
    id: `${formatOriginId(high, low)}:${sequence}`,
    tries: tries.map((one) => dot(one.slot, one.counter)),
    reply: replyOfBytes(reply),
  }));
  return {
    applied: appliedOf(partition),
    cells: canonicalCells(partition),
    opIds: calls.sort((a, b) => (a.id < b.id ? -1 : 1)),
  };
}

/** What it holds, in the order of the cells' names. */
export function canonicalCells(partition: Partition): CanonicalCell[] {
  const named = allCells(partition).map((cell) => [cellName(cell.cell), cell] as const);
  return named.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, cell]) => cell);
}

function appliedOf({ origins }: Partition): Record<string, number> {
  const applied: [string, number][] = [];
  for (let slot = 0; slot < origins.count; slot++) {
    const counter = origins.applied[slot] as number;
    if (counter > 0) applied.push([origins.id(slot), counter]);
  }
  return Object.fromEntries(applied.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function allCells(partition: Partition): CanonicalCell[] {
  const { table } = partition;
  const { records, keyOrder } = table;
  const cells: CanonicalCell[] = [];
  const refs: Ref[] = [];
  let expiring = 0;
  keyOrder.seek(table.keyRoot, 0);
  for (let ref = keyOrder.next(); ref !== 0; ref = keyOrder.next()) refs.push(ref);
  if (refs.length !== table.keyCount) throw new Error("the orders of keys agree");
  for (const ref of refs) {
    const key = textOf(partition, ref);
    if (records.flags(ref) & (EXPIRY | BLOB)) expiring++;
    add(cells, partition, { key, type: "head", element: "" }, ref);
    if (table.find(latin1(key), 0, key.length) !== ref) throw new Error("a key is found by hash");
    for (let block = records.block(ref); block !== 0; block = table.blocks.next(block)) {
      if (table.blocks.key(block) !== ref) throw new Error("a block knows its key");
      if (table.blocks.copyMin(block) !== Number.POSITIVE_INFINITY) expiring++;
      addCollection(cells, partition, key, block);
    }
  }
  if (expiring !== table.expiring) throw new Error("what expires is counted");
  return cells;
}

function addCollection(cells: CanonicalCell[], partition: Partition, key: Bytes, block: Ref): void {
  const { table } = partition;
  const type = typeName(table.blocks.type(block));
  if (type === "string") throw new Error("a string has no elements");
  const root = table.blocks.root(block);
  const pass = table.garbage.passOver(block);
  if (table.blocks.isCut(block) !== (pass !== undefined)) throw new Error("a cut has a pass");
  if (root === 0 && pass === undefined) throw new Error("no collection is empty");
  for (const element of refsIn(partition, block, root)) {
    const name = textOf(partition, element);
    if (table.elements.find(block, latin1(name), 0, name.length) !== element) {
      throw new Error("an element is found by name");
    }
    add(cells, partition, { key, type, element: name }, element);
    for (const { slot, counter, copyAt } of table.cells.versions(element)) {
      if (pass?.cut && hides(pass.cut, slot, counter)) throw new Error("what is hidden is gone");
      if (copyAt === 0 || copyAt >= table.blocks.copyMin(block)) continue;
      throw new Error("a collection knows its smallest copy of an expiry");
    }
  }
  for (const unjudged of pass?.orders ?? []) {
    for (const element of refsIn(partition, block, unjudged)) {
      const cell = { key, type, element: textOf(partition, element) };
      add(cells, partition, cell, element, pass?.cut ?? undefined);
    }
  }
}

function refsIn({ table }: Partition, block: Ref, root: Ref): Ref[] {
  const order = table.elements.orderOf(table.blocks.type(block));
  order.seek(root, 0);
  const refs: Ref[] = [];
  for (let ref = order.next(); ref !== 0; ref = order.next()) refs.push(ref);
  return refs;
}

/** Adds what is shown of a cell: what a cut hides is not there. */
function add(
  cells: CanonicalCell[],
  partition: Partition,
  cell: NeutralCell,
  ref: Ref,
  cut = NO_CUT,
): void {
  const { table, mutations, scan } = partition;
  const isEven = (table.records.flags(ref) & MARKED) === table.mark;
  if (scan === null && cut === NO_CUT && !isEven)
    throw new Error("between scans all records are marked alike");
  const all = mutations.cells.versions(ref);
  const versions = all.filter(({ slot, counter }) => !hides(cut, slot, counter));
  if (versions.length === 0) {
    if (cell.type !== "head" && all.length === 0) throw new Error("no element is empty");
    return;
  }
  const canonical = versions.map((version) => canonicalVersion(partition, version, cell));
  cells.push({ cell, versions: canonical.sort((a, b) => compareDots(a.dot, b.dot)) });
}

function canonicalVersion(
  { origins }: Partition,
  version: Version,
  cell: NeutralCell,
): CanonicalVersion {
  const type = typeName(version.type);
  const dot = (slot: number, counter: number) => dotOf(origins.id(slot), counter);
  const { expiry } = version;
  return {
    dot: dot(version.slot, version.counter),
    hlc: version.hlc,
    type,
    value: valueText(type, cell.type !== "head", version.value),
    counter: counterName(version.counterKind),
    adds: version.adds
      .map((entry) => ({
        origin: origins.id(entry.slot),
        counter: entry.counter,
        number: entry.float ? ("float" as const) : ("int" as const),
        sum: exactText(entry.float ? entry.real : entry.integer),
      }))
      .sort((a, b) => (a.origin < b.origin ? -1 : 1)),
    undone: version.undos
      .map((undo) => ({
        dot: dot(undo.slot, undo.counter),
        number: undo.float ? ("float" as const) : ("int" as const),
        delta: exactText(undo.float ? undo.real : undo.integer),
      }))
      .sort((a, b) => compareDots(a.dot, b.dot)),
    expiry:
      expiry === null
        ? null
        : {
            at: expiry.at === 0 ? null : expiry.at,
            hlc: expiry.hlc,
            origin: origins.id(expiry.slot),
          },
    copy: version.copyAt === 0 ? null : version.copyAt,
  };
}

export function textOf({ table }: Partition, ref: Ref): Bytes {
  const { records } = table;
  const at = records.keyAt(ref);
  return records.bytes(ref).toString("latin1", at, at + records.keyLength(ref));
}

/** What commands see of a key. */
export function canonicalValue(access: KeyAccess, key: Bytes): CanonicalValue {
  const bytes = latin1(key);
  const number = access.openKey(bytes, 0, bytes.length);
  const absent = { type: null, value: null, elements: [], count: 0, until: null, siblings: [] };
  if (number === 0) return absent;
  const type = typeName(number);
  const until = access.expiryAt === 0 ? null : access.expiryAt;
  if (type === "string") {
    access.loadString();
    const value = access.buffer.toString("latin1", access.start, access.end);
    return { type, value, elements: [], count: 1, until, siblings: siblingsOf(access) };
  }
  const elements: (readonly [Bytes, Bytes])[] = [];
  access.elements.seek(0);
  for (let ref = access.elements.next(); ref !== 0; ref = access.elements.next()) {
    const name = textOf(access.partition, ref);
    access.elements.loadValue(ref);
    const value = Buffer.from(access.buffer.subarray(access.start, access.end));
    elements.push([name, valueText(type, true, value)]);
  }
  if (type !== "list") elements.sort(([a], [b]) => (a < b ? -1 : 1));
  return { type, value: null, elements, count: access.elements.count, until, siblings: [] };
}

function siblingsOf({ view, partition }: KeyAccess): Bytes[] {
  const { origins } = partition;
  const dot = ({ slot, counter }: Version) => dotOf(origins.id(slot), counter);
  return view
    .heads()
    .filter((head) => typeName(head.type) === "string")
    .sort((a, b) => a.hlc - b.hlc || (dot(a) < dot(b) ? -1 : 1))
    .map((head) => versionBytes(head, origins).toString("latin1"));
}

/** The whole vector that the own origin's last op followed. */
export function pastOf({ origins, past, ownSlot }: Partition): Vector {
  const vector: Record<Origin, number> = {};
  for (const [slot, counter] of past.of(ownSlot).entries()) {
    if (counter > 0) vector[origins.id(slot)] = counter;
  }
  return vector;
}
