/**
 * Join: merges two states of a partition without logs (design 4). Applied is the entry-wise
 * maximum; a version that both have stays, merged; one that only one side has stays iff the other
 * has not applied its dot.
 *
 * Invariant: joining is idempotent, commutative and associative; it loses nothing that either side
 * has applied and brings back nothing that either side has removed.
 */
import type { AddEntry, Covers, Register, Undo, Version } from "../causality/cell.ts";
import { joinVersions } from "../causality/cell.ts";
import type { Partition } from "./partition.ts";
import { ADDS, BLOB, COLLECTION, EXPIRY, HEADLESS } from "./record.ts";
import type { Ref } from "./slab-pool.ts";

/** What a version may have besides its dot and value, and a key besides its head. */
const PECULIAR = EXPIRY | ADDS | BLOB | COLLECTION | HEADLESS;

/** Merges `other`, a loaded copy of another replica's state, into `mine`. */
export function joinStates(mine: Partition, other: Partition): void {
  const join = new Join(mine, other);
  join.mergeOwnKeys();
  join.addOtherKeys();
  join.finish();
}

class Join {
  readonly #mine: Partition;
  readonly #other: Partition;
  /** My slot of each of the other's. */
  readonly #slots: number[] = [];
  readonly #contains: { mine: Covers; theirs: Covers };
  /** The other's applied, by my slots. */
  readonly #theirs: Float64Array;

  constructor(mine: Partition, other: Partition) {
    this.#mine = mine;
    this.#other = other;
    const { origins } = other;
    for (let slot = 0; slot < origins.count; slot++) {
      this.#slots.push(mine.origins.intern(origins.high(slot), origins.low(slot)));
    }
    const theirs = new Float64Array(mine.origins.count);
    for (const [slot, own] of this.#slots.entries()) theirs[own] = origins.applied[slot] as number;
    this.#theirs = theirs;
    this.#contains = {
      mine: (slot, counter) => counter <= (mine.origins.applied[slot] as number),
      theirs: (slot, counter) => counter <= (theirs[slot] ?? 0),
    };
    const { op, garbage } = mine.table;
    garbage.settleAll();
    op.sequence = mine.sequence;
  }

  /** Each cell of mine against the other's, if it has it. */
  mergeOwnKeys(): void {
    const { table } = this.#mine;
    for (let rank = 0; ; ) {
      const ref = table.keyOrder.at(table.keyRoot, rank);
      if (ref === 0) return;
      if (this.#isSamePlain(ref)) {
        rank++;
        continue;
      }
      const key = nameOf(this.#mine, ref);
      this.#mergeKey(key, ref);
      if (table.find(key, 0, key.length) !== 0) rank++;
    }
  }

  /** Whether both sides have this key with one and the same version, without elements. */
  #isSamePlain(ref: Ref): boolean {
    const { records } = this.#mine.table;
    if (records.flags(ref) & PECULIAR) return false;
    const at = records.keyAt(ref);
    const end = at + records.keyLength(ref);
    const { table } = this.#other;
    const theirs = table.find(records.bytes(ref), at, end);
    if (theirs === 0 || table.records.flags(theirs) & PECULIAR) return false;
    const slot = this.#slots[table.records.slot(theirs)];
    return slot === records.slot(ref) && table.records.counter(theirs) === records.counter(ref);
  }

  #mergeKey(key: Buffer, ref: Ref): void {
    const { table, mutations } = this.#mine;
    const theirKey = this.#other.table.find(key, 0, key.length);
    for (const type of typesOf(this.#mine, ref)) {
      const block = table.blocks.of(table.find(key, 0, key.length), type);
      const theirBlock = theirKey === 0 ? 0 : this.#other.table.blocks.of(theirKey, type);
      for (const element of mutations.elementsOf(block)) {
        const name = nameOf(this.#mine, element);
        const found =
          theirBlock === 0 ? 0 : this.#other.table.elements.find(theirBlock, name, 0, name.length);
        const before = mutations.cells.versions(element);
        const after = this.#joined(before, found === 0 ? [] : this.#translated(found));
        if (!isSame(before, after)) mutations.cells.rewriteElement(block, element, after);
      }
      table.dropEmpty(block);
    }
    const left = table.find(key, 0, key.length);
    if (left === 0) return;
    const before = mutations.cells.versions(left);
    const after = this.#joined(before, theirKey === 0 ? [] : this.#translated(theirKey));
    if (!isSame(before, after)) mutations.cells.storeHead(left, key, 0, key.length, after);
  }

  /** The other's cells that I do not have. */
  addOtherKeys(): void {
    const { table } = this.#other;
    const count = table.keyCount;
    for (let rank = 0; rank < count; rank++) {
      const theirs = table.keyOrder.at(table.keyRoot, rank);
      if (this.#hasHead(theirs) && table.records.block(theirs) === 0) continue;
      const key = nameOf(this.#other, theirs);
      this.#addHead(key, theirs);
      for (const type of typesOf(this.#other, theirs)) this.#addElements(key, type, theirs);
    }
  }

  /** Whether I have a head for this key of theirs: it was merged. */
  #hasHead(theirs: Ref): boolean {
    const { records } = this.#other.table;
    const at = records.keyAt(theirs);
    const { table } = this.#mine;
    const ref = table.find(records.bytes(theirs), at, at + records.keyLength(theirs));
    return ref !== 0 && (table.records.flags(ref) & HEADLESS) === 0;
  }

  #addHead(key: Buffer, theirs: Ref): void {
    if (this.#hasHead(theirs)) return;
    const { table, mutations } = this.#mine;
    const ref = table.find(key, 0, key.length);
    const added = this.#joined([], this.#translated(theirs));
    if (added.length === 0) return;
    table.hash = table.hashOf(key, 0, key.length);
    mutations.cells.storeHead(ref, key, 0, key.length, added);
  }

  #addElements(key: Buffer, type: number, theirs: Ref): void {
    const { table, mutations } = this.#mine;
    const block = this.#other.table.blocks.of(theirs, type);
    for (const element of this.#other.mutations.elementsOf(block)) {
      const name = nameOf(this.#other, element);
      const own = table.find(key, 0, key.length);
      const ownBlock = own === 0 ? 0 : table.blocks.of(own, type);
      if (ownBlock !== 0 && table.elements.find(ownBlock, name, 0, name.length) !== 0) continue;
      const added = this.#joined([], this.#translated(element));
      if (added.length > 0) mutations.addElement(key, type, name, added);
    }
  }

  #joined(mine: readonly Version[], theirs: readonly Version[]): readonly Version[] {
    return joinVersions(mine, theirs, this.#contains, this.#mine.origins);
  }

  /** The versions of a record of the other, with my slots. */
  #translated(ref: Ref): Version[] {
    const slotOf = (slot: number) => this.#slots[slot] as number;
    const amount = <Item extends AddEntry | Undo>(item: Item): Item => ({
      ...item,
      slot: slotOf(item.slot),
    });
    const register = (expiry: Register): Register => ({ ...expiry, slot: slotOf(expiry.slot) });
    return this.#other.mutations.cells.versions(ref).map((version) => ({
      ...version,
      slot: slotOf(version.slot),
      expiry: version.expiry === null ? null : register(version.expiry),
      adds: version.adds.map(amount),
      undos: version.undos.map(amount),
    }));
  }

  /** What is no cell: pasts, op ids, clock, and at last `applied`. */
  finish(): void {
    const { origins, past, opIds, clock } = this.#mine;
    for (const [slot, own] of this.#slots.entries()) {
      if ((this.#theirs[own] as number) <= (origins.applied[own] as number)) continue;
      const vector = new Float64Array(origins.count);
      for (const [named, counter] of this.#other.past.of(slot).entries()) {
        vector[this.#slots[named] as number] = counter;
      }
      past.set(own, vector);
    }
    for (const [own, counter] of this.#theirs.entries()) {
      origins.applied[own] = Math.max(origins.applied[own] as number, counter);
    }
    for (const call of this.#other.opIds.calls.values()) {
      const tries = call.tries.map((one) => ({ ...one, slot: this.#slots[one.slot] as number }));
      opIds.add({ ...call, tries });
    }
    clock.observe(this.#other.clock.last);
  }
}

/** A key's or element's bytes. */
function nameOf({ table }: Partition, ref: Ref): Buffer {
  const { records } = table;
  const at = records.keyAt(ref);
  return Buffer.from(records.bytes(ref).subarray(at, at + records.keyLength(ref)));
}

/** The types of a key's collections. */
function typesOf({ table }: Partition, ref: Ref): number[] {
  const types: number[] = [];
  for (let block = table.records.block(ref); block !== 0; block = table.blocks.next(block)) {
    types.push(table.blocks.type(block));
  }
  return types;
}

/** Whether a join changed nothing: most cells are equal on both sides. */
function isSame(before: readonly Version[], after: readonly Version[]): boolean {
  if (before.length !== after.length) return false;
  return before.every((version, i) => {
    const other = after[i];
    return (
      other !== undefined &&
      other.slot === version.slot &&
      other.counter === version.counter &&
      other.adds.length === version.adds.length &&
      other.adds.every((add) =>
        version.adds.some((own) => own.slot === add.slot && own.counter === add.counter),
      ) &&
      other.undos.length === version.undos.length &&
      other.expiry?.hlc === version.expiry?.hlc &&
      other.expiry?.slot === version.expiry?.slot
    );
  });
}
