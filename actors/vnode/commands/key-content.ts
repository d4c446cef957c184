/**
 * What a key holds, taken out of the table whole: how RENAME and COPY carry any type from one key
 * to another. Counters become their shown values; the expiry goes along.
 */
import { ABSENT, HASH, type KeyAccess, LIST, STRING, ZSET } from "../key-access.ts";

export interface KeyContent {
  readonly type: number;
  /** Wall ms; 0: never. */
  readonly until: number;
  /** The string; of a collection, empty. */
  readonly value: Buffer;
  /** Names and values of a collection's elements in its order; a list's have no names. */
  readonly names: readonly Buffer[];
  readonly values: readonly Buffer[];
}

const EMPTY = Buffer.alloc(0);
/** Elements that are carried at a time. */
const PART_ELEMENTS = 16_384;
/** What a name or a value takes in memory beside its bytes: it is a buffer of its own. */
const BUFFER_BYTES = 128;

/** About how much memory a content takes. */
export function contentBytes({ value, names, values }: KeyContent): number {
  let bytes = value.length + BUFFER_BYTES * (names.length + values.length);
  for (const name of names) bytes += name.length;
  for (const element of values) bytes += element.length;
  return bytes;
}

/** Copies the content of the open key, which is present; null: it would take more than `bytesMax`. */
export function takeContent(key: KeyAccess): KeyContent;
export function takeContent(key: KeyAccess, bytesMax: number): KeyContent | null;
export function takeContent(
  key: KeyAccess,
  bytesMax: number = Number.POSITIVE_INFINITY,
): KeyContent | null {
  return takePart(key, 0, key.elements.count, bytesMax);
}

/** As `takeContent`, of the elements of a collection from one rank to another. */
function takePart(key: KeyAccess, from: number, to: number, bytesMax: number): KeyContent | null {
  const { elements } = key;
  const { type, expiryAt: until } = key;
  if (type === STRING) {
    key.loadString();
    if (key.end - key.start > bytesMax) return null;
    return { type, until, value: loaded(key), names: [], values: [] };
  }
  const names: Buffer[] = [];
  const values: Buffer[] = [];
  let bytes = 0;
  const take = (into: Buffer[]) => {
    bytes += BUFFER_BYTES + key.end - key.start;
    into.push(loaded(key));
  };
  elements.seek(from);
  for (let left = to - from; left > 0 && bytes <= bytesMax; left--) {
    const ref = elements.next();
    if (type !== LIST) {
      elements.loadName(ref);
      take(names);
    }
    if (type === LIST || type === HASH || type === ZSET) {
      elements.loadValue(ref);
      take(values);
    }
  }
  return bytes > bytesMax ? null : { type, until, value: EMPTY, names, values };
}

function loaded(key: KeyAccess): Buffer {
  return Buffer.from(key.buffer.subarray(key.start, key.end));
}

/** Gives the open key this content in place of its own. */
export function putContent(key: KeyAccess, content: KeyContent): void {
  if (content.type === STRING) {
    key.setString(content.value, 0, content.value.length, content.until);
    return;
  }
  if (key.type !== ABSENT) {
    key.deleteKey();
    key.reopen();
  }
  key.expiryOfNew = content.until;
  addElements(key, content);
}

/** Adds elements to the open key: a list's at its end. */
function addElements(key: KeyAccess, { type, names, values }: KeyContent): void {
  if (type === LIST) {
    for (const element of values) key.elements.push(false, element, 0, element.length);
    return;
  }
  names.forEach((name, i) => {
    const element = values[i] ?? EMPTY;
    key.elements.put(type, name, 0, name.length, element, 0, element.length);
  });
}

/**
 * Gives one key the content of another, which is present, a part after the other: what is held beside
 * them stays small. Both may share a KeyAccess; the one that is copied to is open in the end.
 */
export function carryContent(openSource: () => KeyAccess, openTarget: () => KeyAccess): void {
  let source = openSource();
  const { count } = source.elements;
  for (let from = 0; from === 0 || from < count; from += PART_ELEMENTS) {
    if (from > 0) source = openSource();
    const to = Math.min(count, from + PART_ELEMENTS);
    const part = takePart(source, from, to, Number.POSITIVE_INFINITY) as KeyContent;
    const target = openTarget();
    if (from === 0) putContent(target, part);
    else addElements(target, part);
  }
}
