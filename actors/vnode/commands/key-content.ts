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

/** Copies the content of the open key, which is present. */
export function takeContent(key: KeyAccess): KeyContent {
  const { elements } = key;
  const { type, expiryAt: until } = key;
  if (type === STRING) {
    key.loadString();
    return { type, until, value: loaded(key), names: [], values: [] };
  }
  const names: Buffer[] = [];
  const values: Buffer[] = [];
  elements.seek(0);
  for (let ref = elements.next(); ref !== 0; ref = elements.next()) {
    if (type !== LIST) {
      elements.loadName(ref);
      names.push(loaded(key));
    }
    if (type === LIST || type === HASH || type === ZSET) {
      elements.loadValue(ref);
      values.push(loaded(key));
    }
  }
  return { type, until, value: EMPTY, names, values };
}

function loaded(key: KeyAccess): Buffer {
  return Buffer.from(key.buffer.subarray(key.start, key.end));
}

/** Gives the open key this content in place of its own. */
export function putContent(key: KeyAccess, content: KeyContent): void {
  const { type, until, value, names, values } = content;
  if (type === STRING) {
    key.setString(value, 0, value.length, until);
    return;
  }
  if (key.type !== ABSENT) {
    key.deleteKey();
    key.reopen();
  }
  key.expiryOfNew = until;
  if (type === LIST) {
    for (const element of values) key.elements.push(false, element, 0, element.length);
    return;
  }
  names.forEach((name, i) => {
    const element = values[i] ?? EMPTY;
    key.elements.put(type, name, 0, name.length, element, 0, element.length);
  });
}
