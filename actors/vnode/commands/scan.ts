/**
 * SSCAN and HSCAN: pages of a collection in the order of its elements' hashes.
 *
 * A cursor is the hash at which the next page begins; 0 begins, and ends, a scan. Elements with one
 * hash come in one page, so that what is there during the whole scan is returned at least once,
 * whatever is added and removed meanwhile.
 */
import { Glob } from "../../../runtime/base/glob.ts";
import { KEY_BYTES_MAX } from "../../../runtime/base/limits.ts";
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import type { Ref } from "../../../runtime/table/slab-pool.ts";
import { HASH, type KeyAccess, REFUSED } from "../key-access.ts";
import { readInteger } from "./arguments.ts";
import { PATTERN_TOO_COSTLY, PATTERN_TOO_LONG, SYNTAX_ERROR } from "./errors.ts";

// limits:
/** Elements of a page unless COUNT says otherwise (Redis). */
export const SCAN_COUNT_DEFAULT = 10;

export const INVALID_CURSOR = "ERR invalid cursor";
export const scanComplexity =
  "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.";

/** Hashes end before this. */
const HASHES = 2 ** 32;
const CURSOR_MAX = 18_446_744_073_709_551_615n;

/** What MATCH and COUNT of a scan say. */
export interface ScanOptions {
  count: number;
  /** Null: everything matches. */
  pattern: Glob | null;
}

/** Reads a cursor of up to 64 bits; -1 if argument i is none. Past 2^53 it is only near. */
export function readCursor(request: Request, i: number): number {
  if (request.length(i) > 20) return -1;
  const text = request.text(i);
  return /^[0-9]+$/.test(text) && BigInt(text) <= CURSOR_MAX ? Number(text) : -1;
}

/** Reads [MATCH pattern] [COUNT count] from argument `first` on; undefined: an error is replied. */
export function readScanOptions(
  request: Request,
  first: number,
  reply: RespWriter,
): ScanOptions | undefined {
  const options: ScanOptions = { count: SCAN_COUNT_DEFAULT, pattern: null };
  for (let i = first; i < request.count; i += 2) {
    const hasValue = i + 1 < request.count;
    if (hasValue && request.equalsIgnoreCase(i, "COUNT")) {
      if (!readInteger(request, i + 1, reply)) return undefined;
      options.count = request.integerValue;
      if (options.count >= 1) continue;
    } else if (hasValue && request.equalsIgnoreCase(i, "MATCH")) {
      if (request.length(i + 1) > KEY_BYTES_MAX) {
        reply.error(PATTERN_TOO_LONG);
        return undefined;
      }
      const pattern = new Glob(request.bytesAt(i + 1));
      options.pattern = pattern.matchesAll ? null : pattern;
      continue;
    }
    reply.error(SYNTAX_ERROR);
    return undefined;
  }
  return options;
}

/** Runs SSCAN or HSCAN: key at argument 1, cursor at 2. */
export function replyScan(key: KeyAccess, request: Request, reply: RespWriter, type: number): void {
  const { elements } = key;
  const cursor = readCursor(request, 2);
  if (cursor < 0) {
    reply.error(INVALID_CURSOR);
    return;
  }
  const found = key.openToReadAs(request, 1, type, reply);
  if (found === REFUSED) return;
  const { count } = elements;
  // As Redis does: options of a scan of nothing are not looked at.
  const options = count === 0 ? undefined : readScanOptions(request, 3, reply);
  if (count > 0 && options === undefined) return;
  const start = cursor >= HASHES ? count : elements.rankOfHash(cursor);
  const end = options === undefined ? start : pageEnd(key, start, options.count);
  const mark = reply.mark();
  reply.array(2);
  reply.bulkText(end < count ? String(elements.nameHash(elements.at(end))) : "0", "latin1");
  if (options?.pattern == null) {
    reply.array((end - start) * (type === HASH ? 2 : 1));
    elements.seek(start);
    for (let rank = start; rank < end; rank++) replyElement(key, elements.next(), type, reply);
    return;
  }
  replyMatches(key, start, end, options.pattern, type, reply);
  if (!options.pattern.exhausted) return;
  reply.rewind(mark);
  reply.error(PATTERN_TOO_COSTLY);
}

/** The rank behind a page of `most` elements that begins at `start`: hashes are not torn apart. */
function pageEnd(key: KeyAccess, start: number, most: number): number {
  const { elements } = key;
  const { count } = elements;
  let end = start + most;
  if (end >= count) return count;
  const last = elements.nameHash(elements.at(end - 1));
  elements.seek(end);
  while (end < count && elements.nameHash(elements.next()) === last) end++;
  return end;
}

function replyMatches(
  key: KeyAccess,
  start: number,
  end: number,
  pattern: Glob,
  type: number,
  reply: RespWriter,
): void {
  const { elements } = key;
  const list = reply.openArray();
  let matches = 0;
  elements.seek(start);
  for (let rank = start; rank < end && !pattern.exhausted; rank++) {
    const ref = elements.next();
    elements.loadName(ref);
    if (!pattern.matches(key.buffer, key.start, key.end)) continue;
    replyElement(key, ref, type, reply);
    matches++;
  }
  reply.closeArray(list, matches * (type === HASH ? 2 : 1));
}

function replyElement(key: KeyAccess, ref: Ref, type: number, reply: RespWriter): void {
  key.elements.loadName(ref);
  reply.bulk(key.buffer, key.start, key.end);
  if (type !== HASH) return;
  key.elements.loadValue(ref);
  reply.bulk(key.buffer, key.start, key.end);
}
