/**
 * Reads an op's bytes in place (op.ts writes them), mutation by mutation.
 *
 * Invariant: nothing beyond the op's end is trusted: what does not fit makes the op broken.
 */
import { readF64, readU32, readU48, readU64, VarintReader } from "../base/bytes.ts";
import {
  CONTEXT,
  COUNTER_SHIFT,
  ELEMENT,
  EXTRA,
  HEADER_BYTES,
  MUTATE_ADD,
  MUTATE_CLEAR,
  MUTATE_EXPIRE,
  MUTATE_FLUSH,
  MUTATE_REMOVE,
  MUTATE_SET,
  MUTATE_UNDO,
  OP_FORMAT,
  OP_ID,
  OP_PAST,
  OP_TOKEN,
  type OriginDot,
  SAME_KEY,
  UNTIL_NEVER,
} from "./op.ts";

const TYPE_MASK = 15;

/** Reads one op: the header by `open`, then mutation by mutation. Fields hold what was read last. */
export class OpReader {
  source: Buffer = Buffer.alloc(0);
  flags = 0;
  originHigh = 0;
  originLow = 0;
  counter = 0;
  hlc = 0;
  retirement = 0;
  /** The op id, if OP_ID: session and sequence, and the remembered reply. */
  idHigh = 0;
  idLow = 0;
  idSequence = 0;
  idReplyStart = 0;
  idReplyEnd = 0;

  kind = 0;
  type = 0;
  counterKind = 0;
  hasName = false;
  keyStart = 0;
  keyEnd = 0;
  nameStart = 0;
  nameEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  /**
   * set: the head's expiry (0: no register, UNTIL_NEVER) or the element's copy of it (0: none);
   * expire: the time (0: never).
   */
  at = 0;
  /** add and undo: the version; expire and contexts: `dots`. */
  dot: OriginDot = { high: 0, low: 0, counter: 0 };
  tried: OriginDot = { high: 0, low: 0, counter: 0 };
  dots: OriginDot[] = [];
  hasContext = false;
  delta: bigint | number = 0n;

  readonly #varint = new VarintReader();
  #end = 0;
  #pastLeft = 0;
  /** Set once something did not fit: the op is not well formed. */
  #broken = false;

  /** Begins an op; false if its bytes are not one. Past entries are read by `nextPast`. */
  open(source: Buffer, start: number, end: number): boolean {
    this.source = source;
    this.#end = end;
    this.#broken = false;
    this.#pastLeft = 0;
    if (end - start <= HEADER_BYTES || source[start] !== OP_FORMAT) return false;
    this.flags = source[start + 1] as number;
    this.originLow = readU32(source, start + 2);
    this.originHigh = readU32(source, start + 6);
    this.counter = readU48(source, start + 10);
    this.hlc = readU64(source, start + 16);
    this.#varint.at = start + HEADER_BYTES;
    this.retirement = this.#number();
    if (this.flags & OP_TOKEN) this.#varint.at += 8;
    this.#pastLeft = this.flags & OP_PAST ? this.#number() : 0;
    if (this.#pastLeft === 0) this.#readId();
    return !this.#broken;
  }

  /** The next entry of the past in `dot`; false after the last. */
  nextPast(): boolean {
    if (this.#pastLeft === 0 || this.#broken) return false;
    this.dot = this.#readDot();
    if (--this.#pastLeft === 0) this.#readId();
    return !this.#broken;
  }

  /** The next mutation; false after the last. The past must have been read. */
  next(): boolean {
    while (this.#pastLeft > 0) if (!this.nextPast()) return false;
    if (this.#broken || this.#varint.at >= this.#end) return false;
    const first = this.source[this.#varint.at++] as number;
    this.kind = first & 15;
    if ((first & SAME_KEY) === 0) {
      const length = this.#number();
      this.keyStart = this.#varint.at;
      this.keyEnd = this.keyStart + length;
      this.#varint.at = this.keyEnd;
    }
    this.hasName = (first & ELEMENT) !== 0;
    this.at = 0;
    this.hasContext = false;
    this.#body(first);
    return !this.#broken && this.#varint.at <= this.#end;
  }

  /** Whether everything read fitted in the op. */
  get isBroken(): boolean {
    return this.#broken || this.#varint.at > this.#end;
  }

  #body(first: number): void {
    switch (this.kind) {
      case MUTATE_SET:
        this.#cell();
        this.valueEnd = this.#number();
        this.valueStart = this.#varint.at;
        this.valueEnd += this.valueStart;
        this.#varint.at = this.valueEnd;
        if (first & EXTRA) this.at = this.#number() || UNTIL_NEVER;
        if (first & CONTEXT) this.#context();
        return;
      case MUTATE_REMOVE:
        this.#cell();
        if (first & CONTEXT) this.#context();
        return;
      case MUTATE_CLEAR:
      case MUTATE_FLUSH:
        return;
      case MUTATE_ADD:
        this.#cell();
        this.dot = this.#readDot();
        this.delta = this.#amount();
        return;
      case MUTATE_EXPIRE:
        this.dots = this.#readDots();
        this.at = this.#number();
        return;
      case MUTATE_UNDO:
        this.#cell();
        this.dot = this.#readDot();
        this.tried = this.#readDot();
        this.delta = this.#amount();
        return;
      default:
        this.#broken = true;
    }
  }

  #cell(): void {
    const type = this.source[this.#varint.at++] as number;
    this.type = type & TYPE_MASK;
    this.counterKind = type >>> COUNTER_SHIFT;
    if (!this.hasName) return;
    const length = this.#number();
    this.nameStart = this.#varint.at;
    this.nameEnd = this.nameStart + length;
    this.#varint.at = this.nameEnd;
  }

  #context(): void {
    this.hasContext = true;
    this.dots = this.#readDots();
  }

  #readId(): void {
    if ((this.flags & OP_ID) === 0) return;
    const id = this.#readDot();
    this.idHigh = id.high;
    this.idLow = id.low;
    this.idSequence = id.counter;
    const length = this.#number();
    this.idReplyStart = this.#varint.at;
    this.idReplyEnd = this.idReplyStart + length;
    this.#varint.at = this.idReplyEnd;
  }

  #readDot(): OriginDot {
    const at = this.#varint.at;
    this.#varint.at = at + 8;
    const counter = this.#number();
    return { low: readU32(this.source, at), high: readU32(this.source, at + 4), counter };
  }

  #readDots(): OriginDot[] {
    const dots: OriginDot[] = [];
    for (let left = this.#number(); left > 0 && !this.#broken; left--) dots.push(this.#readDot());
    return dots;
  }

  #amount(): bigint | number {
    const at = this.#varint.at;
    this.#varint.at = at + 9;
    if (this.#varint.at > this.#end) {
      this.#broken = true;
      return 0n;
    }
    if (this.source[at] === 0) return this.source.readBigInt64LE(at + 1);
    return readF64(this.source, at + 1);
  }

  #number(): number {
    const value = this.#varint.read(this.source, this.#end);
    if (value >= 0) return value;
    this.#broken = true;
    this.#varint.at = this.#end;
    return 0;
  }
}
