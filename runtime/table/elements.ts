/**
 * The elements of all collections of a table: found by (hash of the name, block), and kept in their
 * collection's order: lists by position, sorted sets by score, hashes and sets by hash of the name.
 *
 * Invariant: an element is in its collection's order, and in the index unless it is a list's; its
 * owner is its block.
 */
import { copyBytes } from "../base/bytes.ts";
import { mixHash } from "../base/hash.ts";
import { LIST, ZSET } from "../causality/cell.ts";
import { HashIndex } from "./hash-index.ts";
import type { MemoryTable } from "./memory-table.ts";
import { OrderedIndex } from "./ordered-index.ts";
import { COPY, KIND_ELEMENT, KIND_TYPE, MARKED, type Records, recordBytes } from "./record.ts";
import type { Ref } from "./slab-pool.ts";

/** Smallest scratch record. */
const PROBE_BYTES_MIN = 128;

export class Elements {
  /** Hash of the name last looked up. */
  hash = 0;

  readonly #table: MemoryTable;
  readonly #records: Records;
  #index: HashIndex;
  readonly #positions: OrderedIndex;
  readonly #names: OrderedIndex;
  readonly #scores: OrderedIndex;
  #probe: Ref = 0;
  #probeBytes = 0;

  constructor(table: MemoryTable) {
    const { records, heap } = table;
    this.#table = table;
    this.#records = records;
    this.#index = new HashIndex(heap, (ref) => this.#hashOf(ref));
    this.#positions = table.keyOrder;
    this.#names = new OrderedIndex(heap, (a, b) => records.compareHashes(a, b));
    this.#scores = new OrderedIndex(heap, (a, b) => records.compareScores(a, b));
  }

  #hashOf(ref: Ref): number {
    return mixHash(this.#records.nameHash(ref), this.#records.owner(ref));
  }

  /** Forgets everything: the heap has been given back as a whole. */
  reset(): void {
    this.#index = new HashIndex(this.#table.heap, (ref) => this.#hashOf(ref));
    this.#probe = 0;
    this.#probeBytes = 0;
  }

  /** The order that a type's elements are kept in. */
  orderOf(type: number): OrderedIndex {
    if (type === LIST) return this.#positions;
    return type === ZSET ? this.#scores : this.#names;
  }

  countOf(block: Ref): number {
    return this.orderOf(this.#table.blocks.type(block)).count(this.#table.blocks.root(block));
  }

  /** An element by name (of a list: by position), or 0. Leaves the name's hash in `hash`. */
  find(block: Ref, source: Buffer, start: number, end: number): Ref {
    const { blocks, garbage } = this.#table;
    this.hash = this.#table.hashOf(source, start, end);
    const isList = blocks.type(block) === LIST;
    if (blocks.isCut(block)) {
      garbage.judge(block, (root) =>
        isList
          ? this.#findPosition(root, source, start, end)
          : this.#findName(block, source, start, end),
      );
    }
    if (isList) return this.#findPosition(blocks.root(block), source, start, end);
    return this.#findName(block, source, start, end);
  }

  #findName(block: Ref, source: Buffer, start: number, end: number): Ref {
    const records = this.#records;
    const index = this.#index;
    const mixed = mixHash(this.hash, block);
    for (let ref = index.first(mixed); ref !== 0; ref = index.next()) {
      if (records.owner(ref) === block && records.keyEquals(ref, source, start, end)) return ref;
    }
    return 0;
  }

  #findPosition(root: Ref, source: Buffer, start: number, end: number): Ref {
    if (root === 0) return 0;
    const rank = this.#positions.lowerBound(root, this.probe(source, start, end, 0));
    if (rank >= this.#positions.count(root)) return 0;
    const ref = this.#positions.at(root, rank);
    return this.#records.keyEquals(ref, source, start, end) ? ref : 0;
  }

  /** A scratch element record with that name, for searches; valid until the next one. */
  probe(source: Buffer, start: number, end: number, valueLength: number): Ref {
    const bytes = recordBytes(KIND_ELEMENT, 0, end - start, valueLength);
    if (bytes > this.#probeBytes) {
      if (this.#probe !== 0) this.#table.heap.free(this.#probe);
      this.#probeBytes = Math.max(bytes, PROBE_BYTES_MIN);
      this.#probe = this.#table.heap.allocate(this.#probeBytes);
    }
    this.#records.setShape(this.#probe, KIND_ELEMENT, 0, end - start, valueLength);
    this.#records.setElement(this.#probe, 0, this.hash);
    copyBytes(
      this.#records.bytes(this.#probe),
      this.#records.keyAt(this.#probe),
      source,
      start,
      end,
    );
    return this.#probe;
  }

  /** Gives the scratch record back: an empty table holds nothing. */
  freeProbe(): void {
    if (this.#probe !== 0) this.#table.heap.free(this.#probe);
    this.#probe = 0;
    this.#probeBytes = 0;
  }

  make(
    block: Ref,
    hash: number,
    source: Buffer,
    start: number,
    end: number,
    kind: number,
    flags: number,
    valueLength: number,
  ): Ref {
    const ref = this.#table.heap.allocate(recordBytes(kind, flags, end - start, valueLength));
    this.#records.setShape(ref, kind, flags | this.#table.mark, end - start, valueLength);
    this.#records.setElement(ref, block, hash);
    copyBytes(this.#records.bytes(ref), this.#records.keyAt(ref), source, start, end);
    return ref;
  }

  /** Puts a filled element record into the indexes of its collection. */
  link(block: Ref, ref: Ref): void {
    const type = this.#table.blocks.type(block);
    if (type !== LIST) this.#index.insert(this.#hashOf(ref), ref);
    this.putBack(block, ref);
    this.#table.blocks.setChanged(block, this.#table.op.sequence);
  }

  /** Takes an element out of the indexes; its block stays, even when empty. */
  unlink(block: Ref, ref: Ref): void {
    const type = this.#table.blocks.type(block);
    if (type !== LIST) this.#index.remove(this.#hashOf(ref), ref);
    this.#table.blocks.setRoot(
      block,
      this.orderOf(type).remove(this.#table.blocks.root(block), ref),
    );
    this.#table.blocks.setChanged(block, this.#table.op.sequence);
  }

  /** Puts an element that the hash index kept into its collection's order again. */
  putBack(block: Ref, ref: Ref): void {
    const { blocks } = this.#table;
    blocks.setRoot(block, this.orderOf(blocks.type(block)).insert(blocks.root(block), ref));
  }

  /** Takes an element out of the hash index only: its order is being dismantled. */
  forget(type: number, ref: Ref): void {
    if (type !== LIST) this.#index.remove(this.#hashOf(ref), ref);
  }

  /**
   * `set` on an element where it covers all there is. `ref` is the element's record (0: none), and
   * `hash` holds its name's hash; `typeKind` is its type and, shifted, its counter kind. Returns
   * the record.
   */
  set(
    block: Ref,
    ref: Ref,
    name: Buffer,
    start: number,
    end: number,
    value: Buffer,
    valueStart: number,
    valueEnd: number,
    copyAt: number,
    typeKind: number,
  ): Ref {
    const records = this.#records;
    const hash = this.hash;
    const type = typeKind & KIND_TYPE;
    const kind = typeKind | KIND_ELEMENT;
    const flags = copyAt === 0 ? 0 : COPY;
    const length = valueEnd - valueStart;
    this.#table.noteCopy(block, copyAt);
    if (ref !== 0 && type !== ZSET && this.#fits(ref, kind, flags, length)) {
      this.#table.touch(ref);
      records.setFlags(ref, flags | this.#table.mark);
      records.bytes(ref)[records.at(ref)] = kind;
      records.setValueLength(ref, length);
      this.#fill(ref, value, valueStart, valueEnd, copyAt);
      this.#table.blocks.setChanged(block, this.#table.op.sequence);
      return ref;
    }
    const made = this.make(block, hash, name, start, end, kind, flags, length);
    this.#fill(made, value, valueStart, valueEnd, copyAt);
    if (ref !== 0) this.free(block, ref);
    this.link(block, made);
    return made;
  }

  #fits(ref: Ref, kind: number, flags: number, valueLength: number): boolean {
    const records = this.#records;
    if ((records.flags(ref) & ~MARKED) !== flags) return false;
    const before = records.valueLength(ref);
    if (before === valueLength) return true;
    const key = records.keyLength(ref);
    const oldBytes = recordBytes(kind, flags, key, before);
    return (recordBytes(kind, flags, key, valueLength) + 7) >>> 3 === (oldBytes + 7) >>> 3;
  }

  #fill(ref: Ref, value: Buffer, start: number, end: number, copyAt: number): void {
    const records = this.#records;
    records.setDot(ref, this.#table.op.slot, this.#table.op.counter, this.#table.op.hlc);
    if (copyAt !== 0) records.setCopyAt(ref, copyAt);
    copyBytes(records.bytes(ref), records.valueAt(ref), value, start, end);
  }

  /** Takes an element out and frees it. */
  free(block: Ref, ref: Ref): void {
    this.#table.touch(ref);
    this.unlink(block, ref);
    this.#table.heap.free(ref);
  }
}
