/**
 * What gateways say to the workers that own keys, on the batch ports: requests in place and encoded
 * replies, as bytes. Kinds are wire ids between threads of one process: no versions.
 *
 *   RUN, COLLECT   u16 keyspace · u8 protocol · u8 reserved · u32 partition · u32 client · arguments
 *   arguments      u32 count · (u32 length · bytes)*
 *   REPLY          the encoded reply (RESP)
 *   PART           a packed value
 */
import { copyBytes, readU16, readU32, writeU16, writeU32 } from "../../runtime/base/bytes.ts";
import type { Request } from "../../runtime/codec/request.ts";

export const MESSAGE_RUN = 1;
export const MESSAGE_REPLY = 2;
export const MESSAGE_COLLECT = 3;
export const MESSAGE_PART = 4;
/** Tells the main thread something: a packed value. */
export const MESSAGE_REPORT = 5;
/** A command over several threads could not run; text. */
export const MESSAGE_FAILED = 6;
/** A handle of the embedding application: opened, RESP bytes both ways, closed. The id is its. */
export const MESSAGE_OPEN_HANDLE = 7;
export const MESSAGE_HANDLE_BYTES = 8;
export const MESSAGE_CLOSE_HANDLE = 9;

/** Transactions over several workers: packed values, see protocols/transactions.ts. */
export const MESSAGE_EXEC = 16;
export const MESSAGE_MARKS = 17;
export const MESSAGE_PREPARE = 18;
export const MESSAGE_COMMIT = 19;
export const MESSAGE_RELEASE = 20;
export const MESSAGE_SYNC = 21;
export const MESSAGE_RESOLVE = 22;

/** Whether a message is about a transaction. */
export function isTransactionMessage(kind: number): boolean {
  return kind >= MESSAGE_EXEC && kind <= MESSAGE_RESOLVE;
}

/** Whether a worker that has started must have settled the past before it looks at such a message. */
export function waitsForService(kind: number): boolean {
  return kind === MESSAGE_RUN || kind === MESSAGE_COLLECT || isNewTransaction(kind);
}

/** RELEASE with them: it must not overtake the PREPARE whose locks it frees. */
function isNewTransaction(kind: number): boolean {
  const isNew = kind === MESSAGE_EXEC || kind === MESSAGE_MARKS || kind === MESSAGE_PREPARE;
  return isNew || kind === MESSAGE_RELEASE;
}

/** Whether a message is one of a handle. */
export function isHandleMessage(kind: number): boolean {
  return kind >= MESSAGE_OPEN_HANDLE && kind <= MESSAGE_CLOSE_HANDLE;
}

const HEADER_BYTES = 12;

/** Bytes of `writeRun`. */
export function runBytes(request: Request, indexes: readonly number[] | null): number {
  let bytes = HEADER_BYTES + 4;
  const count = indexes === null ? request.count : indexes.length;
  for (let i = 0; i < count; i++) bytes += 4 + request.length(indexes?.[i] ?? i);
  return bytes;
}

/** Where a forwarded command runs. */
export interface RunHeader {
  keyspace: number;
  protocol: 2 | 3;
  partition: number;
  /** Whose command it is: what waits for a partition holds back what the same client sends later. */
  client: number;
}

/** Writes a request with all its arguments, or those at `indexes`; returns the end. */
export function writeRun(
  target: Buffer,
  start: number,
  header: RunHeader,
  request: Request,
  indexes: readonly number[] | null,
): number {
  writeU16(target, start, header.keyspace);
  target[start + 2] = header.protocol;
  target[start + 3] = 0;
  writeU32(target, start + 4, header.partition);
  writeU32(target, start + 8, header.client);
  const count = indexes === null ? request.count : indexes.length;
  writeU32(target, start + HEADER_BYTES, count);
  let at = start + HEADER_BYTES + 4;
  for (let i = 0; i < count; i++) {
    const index = indexes?.[i] ?? i;
    writeU32(target, at, request.length(index));
    at = copyBytes(
      target,
      at + 4,
      request.bytes,
      request.starts[index] as number,
      request.ends[index] as number,
    );
  }
  return at;
}

/** Reads a request in place: its arguments lie in `source`. */
export function readRun(source: Buffer, start: number, header: RunHeader, request: Request): void {
  header.keyspace = readU16(source, start);
  header.protocol = source[start + 2] === 3 ? 3 : 2;
  header.partition = readU32(source, start + 4);
  header.client = readU32(source, start + 8);
  request.reset(source);
  const count = readU32(source, start + HEADER_BYTES);
  let at = start + HEADER_BYTES + 4;
  for (let i = 0; i < count; i++) {
    const length = readU32(source, at);
    request.push(at + 4, at + 4 + length);
    at += 4 + length;
  }
}
