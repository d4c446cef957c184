/**
 * The name that OBJECT ENCODING gives to how Redis 7.2 would keep a value. Nothing here is kept so:
 * clients and test suites only want to see the name that a value of this kind and size has.
 */
import { Int64 } from "../../../runtime/base/int64.ts";
import { HASH, type KeyAccess, LIST, SET, STRING } from "../key-access.ts";

// limits: Redis's defaults of *-max-listpack-*, set-max-intset-entries, list-max-listpack-size.
const STRING_EMBEDDED_MAX = 44;
const LISTPACK_ENTRY_BYTES_MAX = 64;
const LISTPACK_ENTRIES_MAX = 128;
const HASH_LISTPACK_ENTRIES_MAX = 512;
const INTSET_ENTRIES_MAX = 512;
const LIST_LISTPACK_BYTES_MAX = 8192;
/** Bytes around an entry and around the whole of a listpack. */
const LISTPACK_OVERHEAD = 7;

const integer = new Int64();

/** The encoding of the open key, which is present. */
export function encodingOf(key: KeyAccess): string {
  switch (key.type) {
    case STRING:
      return stringEncoding(key);
    case LIST:
      return isSmallList(key) ? "listpack" : "quicklist";
    case SET:
      if (isIntegerSet(key)) return "intset";
      return hasShortEntries(key, LISTPACK_ENTRIES_MAX) ? "listpack" : "hashtable";
    case HASH:
      return hasShortEntries(key, HASH_LISTPACK_ENTRIES_MAX) ? "listpack" : "hashtable";
    default:
      return hasShortEntries(key, LISTPACK_ENTRIES_MAX) ? "listpack" : "skiplist";
  }
}

function stringEncoding(key: KeyAccess): string {
  if (key.readInteger(integer)) return "int";
  key.loadString();
  return key.end - key.start <= STRING_EMBEDDED_MAX ? "embstr" : "raw";
}

function isSmallList(key: KeyAccess): boolean {
  const { elements } = key;
  let bytes = LISTPACK_OVERHEAD;
  elements.seek(0);
  for (
    let ref = elements.next();
    ref !== 0 && bytes <= LIST_LISTPACK_BYTES_MAX;
    ref = elements.next()
  ) {
    elements.loadValue(ref);
    bytes += key.end - key.start + 2;
  }
  return bytes <= LIST_LISTPACK_BYTES_MAX;
}

function isIntegerSet(key: KeyAccess): boolean {
  const { elements } = key;
  if (elements.count > INTSET_ENTRIES_MAX) return false;
  elements.seek(0);
  for (let ref = elements.next(); ref !== 0; ref = elements.next()) {
    elements.loadName(ref);
    if (!integer.parse(key.buffer, key.start, key.end)) return false;
  }
  return true;
}

/** Whether the collection has at most so many entries, all short. */
function hasShortEntries(key: KeyAccess, entriesMax: number): boolean {
  const { elements } = key;
  if (elements.count > entriesMax) return false;
  const isHash = key.type === HASH;
  elements.seek(0);
  for (let ref = elements.next(); ref !== 0; ref = elements.next()) {
    elements.loadName(ref);
    if (key.end - key.start > LISTPACK_ENTRY_BYTES_MAX) return false;
    if (!isHash) continue;
    elements.loadValue(ref);
    if (key.end - key.start > LISTPACK_ENTRY_BYTES_MAX) return false;
  }
  return true;
}
