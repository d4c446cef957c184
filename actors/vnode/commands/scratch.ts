/**
 * Room in which commands build a changed string before they set it, so that small ones make no
 * garbage.
 *
 * Invariant: what a call returns is the caller's until the next call, and of undefined content.
 */
import { copyBytes } from "../../../runtime/base/bytes.ts";
import { VALUE_BYTES_MAX } from "../../../runtime/base/limits.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { ABSENT, type KeyAccess } from "../key-access.ts";

// limits:
/** Strings up to this size are built in one buffer kept for them. */
export const SCRATCH_BYTES = 16 * 1024;

const kept = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

/** At least `bytes` of room. */
export function scratch(bytes: number): Buffer {
  return bytes <= SCRATCH_BYTES ? kept : Buffer.allocUnsafeSlow(bytes);
}

/** Whether a string may grow to `bytes`; else the error is in the reply. */
export function mayGrowTo(bytes: number, reply: RespWriter): boolean {
  if (bytes <= VALUE_BYTES_MAX) return true;
  reply.error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
  return false;
}

/** A copy of the open string (empty if the key is absent), zeros behind it up to `bytes`. */
export function copyPadded(key: KeyAccess, length: number, bytes: number): Buffer {
  const room = scratch(bytes);
  if (length > 0) copyBytes(room, 0, key.buffer, key.start, key.end);
  if (bytes > length) room.fill(0, length, bytes);
  return room;
}

/** Loads the open string, which may be absent; returns its length. */
export function loadLength(key: KeyAccess): number {
  if (key.type === ABSENT) return 0;
  key.loadString();
  return key.end - key.start;
}

/** Sets the open key to room[0, bytes), keeping its expiry. */
export function setKeepingExpiry(key: KeyAccess, room: Buffer, bytes: number): void {
  key.setString(room, 0, bytes, key.type === ABSENT ? 0 : key.expiryAt);
}
