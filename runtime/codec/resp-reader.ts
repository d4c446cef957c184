/**
 * Reads commands of the Redis protocol from the bytes of a connection, in place and resumable.
 *
 *   *<count> CRLF ( $<length> CRLF <bytes> CRLF ) x count        multibulk
 *   word word "quoted word" LF                                   inline
 *
 * The texts and lengths are those of Redis 7.2's networking.c; stricter in one place: every line
 * and body must end with CRLF where Redis skips two bytes unread.
 *
 * Invariants: a byte is looked at once, however the stream is cut (but for the <= 11 bytes of an
 * unfinished length line); whether and how a stream fails does not depend on how it is cut; nothing
 * is allocated for a length that is only announced.
 */
import { isRequestLine, splitInline } from "./inline.ts";
import { Request } from "./request.ts";

// limits:
/** Arguments of a command (Redis before 7: the same). */
export const ARGUMENTS_MAX = 1024 * 1024;
/** Longest argument (Redis: proto-max-bulk-len). */
export const BULK_BYTES_MAX = 512 * 1024 * 1024;
/** Longest inline request, and longest line that should hold a length (PROTO_INLINE_MAX_SIZE). */
export const LINE_BYTES_MAX = 64 * 1024;
/** Longest whole command (Redis: client-query-buffer-limit). Offsets must fit 31 bits. */
export const COMMAND_BYTES_MAX = 1024 * 1024 * 1024;
/** Arguments of a command, and bytes of each, before AUTH (CVE-2021-32675). */
export const UNAUTHENTICATED_ARGUMENTS_MAX = 10;
export const UNAUTHENTICATED_BULK_BYTES_MAX = 16 * 1024;

export interface RespLimits {
  readonly argsMax: number;
  readonly bulkBytesMax: number;
  /** Inline requests and length lines. */
  readonly inlineBytesMax: number;
  readonly commandBytesMax: number;
  /** Whether the error says "unauthenticated" to who passes these limits but not the defaults. */
  readonly authenticated: boolean;
}

export const respLimits: RespLimits = {
  argsMax: ARGUMENTS_MAX,
  bulkBytesMax: BULK_BYTES_MAX,
  inlineBytesMax: LINE_BYTES_MAX,
  commandBytesMax: COMMAND_BYTES_MAX,
  authenticated: true,
};

/** For a connection that must still AUTH. */
export const respLimitsBeforeAuth: RespLimits = {
  ...respLimits,
  argsMax: UNAUTHENTICATED_ARGUMENTS_MAX,
  bulkBytesMax: UNAUTHENTICATED_BULK_BYTES_MAX,
  authenticated: false,
};

/** A command is in `request`; it ends at `next`. */
export const PARSED = 0;
/** More bytes are needed. */
export const INCOMPLETE = 1;
/** A protocol error, or a forgery: answer `error` (if no forgery) and close. It stays failed. */
export const FAILED = 2;
export type ParseOutcome = typeof PARSED | typeof INCOMPLETE | typeof FAILED;

const CR = 13;
const LF = 10;
const STAR = 42;
const DOLLAR = 36;
const ZERO = 48;
/** Results of a length that is not a number >= 0 of a complete line. */
const PENDING = -1;
const REFUSED = -2;
const NEGATIVE = -3;

export class RespReader {
  request = new Request();
  /** The protocol error, without the "-" in front. */
  error = "";
  /** A browser was made to speak to us (HTTP): close at once, run and answer nothing. */
  forgery = false;
  /** Where the next `parse` should start: after the command, or at the unfinished one. */
  next = 0;
  /** At least this many bytes are missing. A client chose it: let no memory follow it. */
  missingBytes = 0;

  #limits: RespLimits;
  #failed = false;
  /** Arguments announced by an unfinished multibulk; 0 between commands. */
  #total = 0;
  /** Length of the unfinished argument; -1 before its length line. */
  #bulk = -1;
  /** `at` of the call that began the command: what the offsets kept are counted from. */
  #base = 0;
  /** The first byte not read yet, counted so. */
  #position = 0;
  /** Bytes of the unfinished line that hold no line end, so that they are not scanned again. */
  #scanned = 0;
  /** Where the line just read ends, its CRLF included. */
  #lineEnd = 0;

  constructor(limits: Partial<RespLimits> = {}) {
    this.#limits = { ...respLimits, ...limits };
  }

  get limits(): RespLimits {
    return this.#limits;
  }

  /**
   * The next command is read under these: AUTH lifts the bounds of a pipeline's rest. What has been read
   * of it is read again.
   */
  setLimits(limits: RespLimits): void {
    this.#limits = limits;
    this.reset();
  }

  /** Gives the parsed request away; the next one is read into `other`. */
  swap(other: Request): Request {
    const { request } = this;
    this.request = other;
    return request;
  }

  /**
   * Parses the next command of buffer[at, end); offsets stay below 2^31.
   *
   * PARSED: call again with `at` = `next` for the one after it. INCOMPLETE: call again with the
   * same bytes from `next` on and more; buffer and `at` may differ. `next` is past the old `at`
   * where blank lines and empty arrays were skipped; who keeps those loses only time.
   */
  parse(buffer: Buffer, at: number, end: number): ParseOutcome {
    if (this.#failed) return FAILED;
    if (this.#total > 0) {
      const delta = at - this.#base;
      this.request.bytes = buffer;
      return this.#parseArguments(buffer, this.#position + delta, end, delta);
    }
    let position = at;
    while (position < end) {
      if (buffer[position] === STAR) {
        const total = this.#readLength(buffer, position, end);
        if (total > 0) {
          if (total > this.#limits.argsMax) return this.#failCount(total);
          this.request.reset(buffer);
          this.#total = total;
          this.#base = position;
          const outcome = this.#parseArguments(buffer, this.#lineEnd, end, 0);
          // Bytes were skipped before it: the next call may start at either place, so start anew.
          if (outcome === INCOMPLETE && position !== at) this.#forget();
          return outcome;
        }
        if (total === PENDING) return this.#wait(position, at, 1);
        if (total === REFUSED) return FAILED;
      } else {
        const found = this.#findInlineEnd(buffer, position, end);
        if (found === REFUSED) return FAILED;
        if (found === PENDING) return this.#wait(position, at, 1);
        const outcome = this.#parseInline(buffer, position, found);
        if (outcome !== INCOMPLETE) return outcome;
      }
      position = this.#lineEnd;
    }
    return this.#wait(position, at, 1);
  }

  /** Forgets what it has begun to read, and that it failed. */
  reset(): void {
    this.#failed = false;
    this.error = "";
    this.forgery = false;
    this.#forget();
  }

  #forget(): void {
    this.#total = 0;
    this.#bulk = -1;
    this.#scanned = 0;
  }

  /** Reads the arguments from `position` on; offsets are kept less `delta` until all are here. */
  #parseArguments(buffer: Buffer, position: number, end: number, delta: number): ParseOutcome {
    const request = this.request;
    const total = this.#total;
    const bulkBytesMax = this.#limits.bulkBytesMax;
    const stopMax = this.#base + delta + this.#limits.commandBytesMax;
    let { starts, ends, count } = request;
    let bulk = this.#bulk;
    let at = position;
    while (count < total) {
      if (bulk < 0) {
        if (at >= end) return this.#keep(at, delta, count, bulk, 4);
        if (buffer[at] !== DOLLAR) return this.#failType(buffer[at] as number);
        bulk = this.#readLength(buffer, at, end);
        if (bulk === PENDING) return this.#keep(at, delta, count, bulk, 1);
        if (bulk < 0 || bulk > bulkBytesMax) return this.#failBulk(bulk);
        at = this.#lineEnd;
        if (at + bulk + 2 > stopMax) return this.#fail("ERR Protocol error: too big request");
      }
      const stop = at + bulk;
      if (stop + 2 > end) return this.#keep(at, delta, count, bulk, stop + 2 - end);
      if (buffer[stop] !== CR || buffer[stop + 1] !== LF) {
        return this.#fail("ERR Protocol error: expected CRLF after bulk");
      }
      if (count === starts.length) {
        request.grow();
        ({ starts, ends } = request);
      }
      starts[count] = at - delta;
      ends[count++] = stop - delta;
      at = stop + 2;
      bulk = -1;
    }
    request.count = count;
    if (delta !== 0) request.shift(delta);
    this.#total = 0;
    this.#bulk = -1;
    this.next = at;
    return this.#isForgery() ? this.#failForgery() : PARSED;
  }

  /** Keeps the progress of an unfinished multibulk. */
  #keep(at: number, delta: number, count: number, bulk: number, missing: number): ParseOutcome {
    this.#position = at - delta;
    this.#bulk = bulk;
    this.request.count = count;
    this.next = this.#base + delta;
    this.missingBytes = missing;
    return INCOMPLETE;
  }

  /** Waits for the rest of a first line that starts at `position`. */
  #wait(position: number, at: number, missing: number): ParseOutcome {
    if (position !== at) this.#scanned = 0;
    this.next = position;
    this.missingBytes = missing;
    return INCOMPLETE;
  }

  /**
   * The length in the line whose type byte is at `at`; `#lineEnd` is behind its CRLF. PENDING:
   * the line is not complete. REFUSED: it failed. NEGATIVE: a number below 0.
   */
  #readLength(buffer: Buffer, at: number, end: number): number {
    // Nine digits at most, so that the sum stays a small integer.
    const stop = end - at > 10 ? at + 10 : end;
    let value = 0;
    let i = at + 1;
    for (; i < stop; i++) {
      const digit = (buffer[i] as number) - ZERO;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    if (i + 1 < end && buffer[i] === CR && buffer[i + 1] === LF) {
      if (i === at + 2 || (i > at + 2 && buffer[at + 1] !== ZERO)) {
        this.#lineEnd = i + 2;
        this.#scanned = 0;
        return value;
      }
    }
    return this.#readIrregularLength(buffer, at, end);
  }

  /** As `#readLength`, for lines that are long, signed, cut, or no number at all. */
  #readIrregularLength(buffer: Buffer, at: number, end: number): number {
    const multibulk = buffer[at] === STAR;
    const stop = Math.min(end, at + this.#limits.inlineBytesMax + 1);
    let cr = at + this.#scanned;
    while (cr < stop && buffer[cr] !== CR) cr++;
    if (cr === stop) {
      if (cr - at <= this.#limits.inlineBytesMax) return this.#pending(cr - at);
      this.#fail(`ERR Protocol error: too big ${multibulk ? "mbulk" : "bulk"} count string`);
      return REFUSED;
    }
    if (cr + 1 >= end) return this.#pending(cr - at);
    this.#scanned = 0;
    const value = buffer[cr + 1] === LF ? parseLength(buffer, at + 1, cr) : Number.NaN;
    if (Number.isNaN(value)) {
      this.#fail(`ERR Protocol error: invalid ${multibulk ? "multibulk" : "bulk"} length`);
      return REFUSED;
    }
    this.#lineEnd = cr + 2;
    return value < 0 ? NEGATIVE : value;
  }

  #pending(scanned: number): typeof PENDING {
    this.#scanned = scanned;
    return PENDING;
  }

  /** Where the inline request's text ends; `#lineEnd` is behind its LF. PENDING or REFUSED. */
  #findInlineEnd(buffer: Buffer, at: number, end: number): number {
    const stop = Math.min(end, at + this.#limits.inlineBytesMax + 1);
    let i = at + this.#scanned;
    for (; i < stop; i++) {
      const byte = buffer[i] as number;
      if (byte === LF) {
        this.#scanned = 0;
        this.#lineEnd = i + 1;
        return i > at && buffer[i - 1] === CR ? i - 1 : i;
      }
      if (byte === 0) {
        // Redis waits here for ever: a C string ends. TLS handshakes have one within nine bytes.
        this.#fail("ERR Protocol error: NUL in inline request");
        return REFUSED;
      }
    }
    if (i - at <= this.#limits.inlineBytesMax) return this.#pending(i - at);
    this.#fail("ERR Protocol error: too big inline request");
    return REFUSED;
  }

  /** Splits a line into arguments. INCOMPLETE here means that it holds none. */
  #parseInline(buffer: Buffer, start: number, stop: number): ParseOutcome {
    const request = this.request;
    request.reset(buffer);
    if (!splitInline(request, buffer, start, stop)) {
      return this.#fail("ERR Protocol error: unbalanced quotes in request");
    }
    if (request.count === 0) return INCOMPLETE;
    if (request.count > this.#limits.argsMax) return this.#failCount(request.count);
    for (let i = 0; i < request.count; i++) {
      const length = request.length(i);
      if (length > this.#limits.bulkBytesMax) return this.#failBulk(length);
    }
    this.next = this.#lineEnd;
    return this.#isForgery() || isRequestLine(request) ? this.#failForgery() : PARSED;
  }

  /** Whether the command is a line of an HTTP request: POST ..., or Host: ... */
  #isForgery(): boolean {
    const request = this.request;
    const length = request.length(0);
    if (length === 4) return request.equalsIgnoreCase(0, "POST");
    return length === 5 && request.equalsIgnoreCase(0, "HOST:");
  }

  #failForgery(): typeof FAILED {
    this.forgery = true;
    return this.#fail("ERR Possible cross-protocol request forgery: this is no HTTP port");
  }

  #failCount(count: number): typeof FAILED {
    const why = this.#limits.authenticated || count > ARGUMENTS_MAX ? "invalid" : "unauthenticated";
    return this.#fail(`ERR Protocol error: ${why} multibulk length`);
  }

  /** Refuses an argument's length: one of the negative results, or too large. */
  #failBulk(length: number): typeof FAILED {
    if (length === REFUSED) return FAILED;
    const passable = length >= 0 && length <= BULK_BYTES_MAX && !this.#limits.authenticated;
    const why = passable ? "unauthenticated" : "invalid";
    return this.#fail(`ERR Protocol error: ${why} bulk length`);
  }

  #failType(byte: number): typeof FAILED {
    const shown =
      byte > 31 && byte < 127
        ? String.fromCharCode(byte)
        : `\\x${byte.toString(16).padStart(2, "0")}`;
    return this.#fail(`ERR Protocol error: expected '$', got '${shown}'`);
  }

  #fail(error: string): typeof FAILED {
    this.#failed = true;
    this.error = error;
    return FAILED;
  }
}

/** Redis's string2ll over [start, end): NaN if it is no 64-bit integer. Rounded past 2^53. */
function parseLength(buffer: Buffer, start: number, end: number): number {
  if (end - start > 20) return Number.NaN;
  const text = buffer.toString("latin1", start, end);
  if (!/^(?:0|-?[1-9][0-9]*)$/.test(text)) return Number.NaN;
  const value = BigInt(text);
  return BigInt.asIntN(64, value) === value ? Number(value) : Number.NaN;
}
