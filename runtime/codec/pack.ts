/**
 * Values as bytes: MessagePack, for control messages between threads and nodes and for manifests.
 * Never on the data path. The only importer of msgpackr. Format: https://msgpack.org.
 *
 * Invariant: `unpack(pack(value))` equals `value` for null, booleans, numbers, strings, bytes,
 * arrays, plain objects and bigints below 2^64 (-0 comes back as 0, as from JSON); bad bytes are a
 * value, never a throw.
 */
// Not the package's entry for Node: it looks for native code, 15 ms a thread.
import { Packr } from "msgpackr/pack";

/** What bytes from outside turned out to be. */
export type Unpacked =
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "malformed"; readonly why: string };

// Records are msgpackr's own extension: without them any MessagePack reader can read ours.
// Copies of bytes: what is read here outlives the buffer of a port, which goes back to its sender.
const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  moreTypes: false,
  copyBuffers: true,
});

/** Bytes of their own: not a view into a shared buffer, so they may be kept or transferred. */
export function pack(value: unknown): Buffer {
  const shared = packr.pack(value);
  const own = Buffer.from(new ArrayBuffer(shared.length));
  shared.copy(own);
  return own;
}

/** Reads exactly one value that fills `bytes`. Buffers in it are copies. */
export function unpack(bytes: Uint8Array): Unpacked {
  try {
    return { kind: "value", value: packr.unpack(bytes) };
  } catch (error) {
    return { kind: "malformed", why: error instanceof Error ? error.message : String(error) };
  }
}
