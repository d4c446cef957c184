/**
 * A partition's state at exactly one `applied`, written in slices while commands go on.
 *
 * The cut is the moment of construction. A record that is about to change or to be freed is written
 * first (table.onBeforeChange), to chunks of their own; what a `clear` detached before the cut is no
 * part of it, what is detached later is written as it is freed. Everything else is met by walking
 * the keys in order, and each collection in its order, from the last place by its name.
 *
 *   a record is marked (flag MARKED = table.mark) iff the scan has it, or it is newer than the cut;
 *   between scans all records are marked alike, and a new scan turns the meaning round
 *
 * Invariant: each version that was there at the cut is written exactly once.
 */
import { assert } from "../base/assert.ts";
import { copyBytes } from "../base/bytes.ts";
import { HASH, LIST, ZSET } from "../causality/cell.ts";
import type { Partition } from "./partition.ts";
import { KIND_ELEMENT, MARKED } from "./record.ts";
import type { Ref } from "./slab-pool.ts";
import { writePrologue } from "./state-prologue.ts";
import {
  CHUNK_CHANGED,
  CHUNK_END,
  CHUNK_ORDERED,
  CHUNK_PROLOGUE,
  ChunkMemory,
  StateWriter,
  writeEnd,
} from "./state-writer.ts";

// limits:
/** Bytes that a slice writes before it ends early. */
export const SCAN_SLICE_BYTES_MAX = 256 * 1024;

const NOTHING = Buffer.alloc(0);
const SCORE_BYTES = 8;
/** In place of a type: no collection of the current key is left. */
const FINISHED = HASH + 1;

/** `aborted`: given up, and nothing is left to do for it. */
export type ScanState = "going" | "done" | "aborted";

/**
 * See the file comment. Made between two turns, one a partition at a time; call `next` until it
 * says that it is not going on, also after `abort`.
 */
export class SnapshotScan {
  /** The op that the state contains up to and with, as the vnode counts. */
  readonly sequence: number;

  readonly #partition: Partition;
  readonly #chunks: Buffer[] = [];
  readonly #ordered: StateWriter;
  readonly #changed: StateWriter;
  readonly #end: StateWriter;
  #state: ScanState = "going";
  /** Given up: the rest is only marked. */
  #isAborting = false;

  // Where the walk is: the last key met, and the type of its collection that is being walked.
  #key: Buffer = NOTHING;
  #keyLength = -1;
  #type = FINISHED;
  // The last element met of that collection.
  #name: Buffer = NOTHING;
  #nameLength = -1;
  #nameHash = 0;
  readonly #score = Buffer.alloc(SCORE_BYTES);

  constructor(partition: Partition, memory = new ChunkMemory()) {
    const { table } = partition;
    assert(partition.scan === null, "one scan of a partition at a time");
    assert(!partition.isBusy, "a scan begins between two commands");
    this.#partition = partition;
    this.sequence = partition.sequence;
    const emit = (chunk: Buffer) => {
      if (!this.#isAborting) this.#chunks.push(chunk);
    };
    this.#ordered = new StateWriter(CHUNK_ORDERED, emit, memory);
    this.#changed = new StateWriter(CHUNK_CHANGED, emit, memory);
    this.#end = new StateWriter(CHUNK_END, emit, memory);
    writePrologue(new StateWriter(CHUNK_PROLOGUE, emit, memory), partition);
    // First: what it settles is a part of the state.
    table.garbage.hideFromSnapshot();
    table.mark ^= MARKED;
    table.onBeforeChange = (ref) => this.#writeFirst(ref);
    partition.scan = this;
  }

  /** Walks on over about `itemsMax` keys and elements; fewer where they are large. */
  next(itemsMax: number): ScanState {
    if (this.#state !== "going") return this.#state;
    const bytesMax = this.#ordered.bytes + SCAN_SLICE_BYTES_MAX;
    for (let left = itemsMax; left > 0 && this.#ordered.bytes < bytesMax; ) {
      const used =
        this.#type === FINISHED
          ? this.#walkKeys(left, bytesMax)
          : this.#walkElements(left, bytesMax);
      left -= used;
      if (used > 0) continue;
      const { garbage } = this.#partition.table;
      if (this.#isAborting || !garbage.holdsSnapshot) return this.#finish();
      garbage.collect(left);
      left = 0;
    }
    return "going";
  }

  /** The next finished chunk, oldest first; it is the caller's, to be given back to the memory. */
  take(): Buffer | undefined {
    return this.#chunks.shift();
  }

  /** Gives up: nothing more is written. The marks are still made even, slice by slice. */
  abort(): void {
    if (this.#state !== "going") return;
    this.#isAborting = true;
    this.#chunks.length = 0;
    this.#partition.table.onBeforeChange = null;
  }

  /** As `abort`, where every record has been given up at once. */
  abandon(): void {
    if (this.#state !== "going") return;
    this.abort();
    this.#leave("aborted");
  }

  #finish(): ScanState {
    if (!this.#isAborting) {
      const [a, b] = [this.#ordered, this.#changed];
      a.flush();
      b.flush();
      writeEnd(this.#end, a.heads + b.heads, a.elements + b.elements);
    }
    this.#leave(this.#isAborting ? "aborted" : "done");
    return this.#state;
  }

  #leave(state: ScanState): void {
    this.#state = state;
    this.#partition.table.onBeforeChange = null;
    this.#partition.scan = null;
  }

  /** A record is about to change or go: the scan takes it as it is. */
  #writeFirst(ref: Ref): void {
    const { table } = this.#partition;
    const { records } = table;
    if ((records.kind(ref) & KIND_ELEMENT) === 0) this.#changed.head(records, ref);
    else {
      const block = records.owner(ref);
      const type = table.blocks.type(block);
      const keyRef = table.blocks.key(block);
      if (keyRef === 0) {
        const key = table.garbage.keyOf(block);
        this.#changed.element(records, ref, type, key, 0, key.length);
      } else {
        const at = records.keyAt(keyRef);
        const end = at + records.keyLength(keyRef);
        this.#changed.element(records, ref, type, records.bytes(keyRef), at, end);
      }
    }
    records.setFlags(ref, (records.flags(ref) & ~MARKED) | table.mark);
  }

  /** Heads from the place on, up to one with collections. Returns 0 at the end of the keys. */
  #walkKeys(itemsMax: number, bytesMax: number): number {
    const { table } = this.#partition;
    const { records, keyOrder } = table;
    let rank = 0;
    if (this.#keyLength >= 0) {
      const probe = table.elements.probe(this.#key, 0, this.#keyLength, 0);
      rank = keyOrder.upperBound(table.keyRoot, probe);
    }
    keyOrder.seek(table.keyRoot, rank);
    let used = 0;
    let last: Ref = 0;
    while (used < itemsMax && this.#ordered.bytes < bytesMax) {
      const ref = keyOrder.next();
      if (ref === 0) break;
      used++;
      last = ref;
      const flags = records.flags(ref);
      if ((flags & MARKED) !== table.mark) {
        if (!this.#isAborting) this.#ordered.head(records, ref);
        records.setFlags(ref, (flags & ~MARKED) | table.mark);
      }
      if (records.block(ref) === 0) continue;
      this.#type = LIST;
      this.#nameLength = -1;
      break;
    }
    if (last === 0) return 0;
    const at = records.keyAt(last);
    this.#keyLength = records.keyLength(last);
    this.#key = withRoom(this.#key, this.#keyLength);
    copyBytes(this.#key, 0, records.bytes(last), at, at + this.#keyLength);
    return used;
  }

  /** Elements of the current collection from the place on. Returns at least 1. */
  #walkElements(itemsMax: number, bytesMax: number): number {
    const { table } = this.#partition;
    const { records } = table;
    const block = this.#currentBlock();
    if (block === 0) return 1;
    const order = table.elements.orderOf(this.#type);
    const root = table.blocks.root(block);
    order.seek(root, this.#nameLength < 0 ? 0 : order.upperBound(root, this.#probe()));
    let used = 0;
    let last: Ref = 0;
    while (used < itemsMax && this.#ordered.bytes < bytesMax) {
      const ref = order.next();
      if (ref === 0) {
        this.#type++;
        this.#nameLength = -1;
        return used + 1;
      }
      used++;
      last = ref;
      const flags = records.flags(ref);
      if ((flags & MARKED) === table.mark) continue;
      if (!this.#isAborting) {
        this.#ordered.element(records, ref, this.#type, this.#key, 0, this.#keyLength);
      }
      records.setFlags(ref, (flags & ~MARKED) | table.mark);
    }
    if (last !== 0) this.#rememberElement(last);
    return Math.max(used, 1);
  }

  /** The collection that the walk is in, or the key's next one; 0: it has no more. */
  #currentBlock(): Ref {
    const { table } = this.#partition;
    const ref = table.find(this.#key, 0, this.#keyLength);
    for (; ref !== 0 && this.#type < FINISHED; this.#type++) {
      const block = table.blocks.of(ref, this.#type);
      if (block !== 0) return block;
      this.#nameLength = -1;
    }
    this.#type = FINISHED;
    return 0;
  }

  #rememberElement(ref: Ref): void {
    const { records } = this.#partition.table;
    const bytes = records.bytes(ref);
    const at = records.keyAt(ref);
    this.#nameLength = records.keyLength(ref);
    this.#nameHash = records.nameHash(ref);
    this.#name = withRoom(this.#name, this.#nameLength);
    const end = copyBytes(this.#name, 0, bytes, at, at + this.#nameLength) + at;
    if (this.#type === ZSET) copyBytes(this.#score, 0, bytes, end, end + SCORE_BYTES);
  }

  /** A scratch record that stands where the last element met stood. */
  #probe(): Ref {
    const { table } = this.#partition;
    const { records } = table;
    table.elements.hash = this.#nameHash;
    const isSorted = this.#type === ZSET;
    const probe = table.elements.probe(this.#name, 0, this.#nameLength, isSorted ? SCORE_BYTES : 0);
    if (isSorted) {
      copyBytes(records.bytes(probe), records.valueAt(probe), this.#score, 0, SCORE_BYTES);
    }
    return probe;
  }
}

function withRoom(buffer: Buffer, length: number): Buffer {
  return buffer.length >= length ? buffer : Buffer.allocUnsafeSlow(Math.max(64, length * 2));
}
