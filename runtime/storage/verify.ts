/**
 * Verifies files that count and are not written any more: reads all of one again and checks what
 * has a checksum. For the scrub, which finds damage while the node still has the data in memory.
 */
import { CoterieError } from "../base/errors.ts";
import { type Damage, damageOf } from "./damage.ts";
import type { FileWindow } from "./file-window.ts";
import { causeCode, type FileReader } from "./files.ts";
import {
  decodeFileHeader,
  emptyFrameHeader,
  FILE_HEADER_BYTES,
  FRAME_HEADER_BYTES,
  parseJournalFileName,
} from "./journal-format.ts";
import { frameHeaderAt, isWholeAt, journalWindow } from "./journal-window.ts";
import { readSnapshot } from "./snapshot.ts";

/** A file to verify. */
export interface VerifyArgs {
  readonly folder: string;
  readonly name: string;
  /** Of a journal file: where its last frame ends. A snapshot counts whole. */
  readonly end: number;
}

/** What was found; `gone`: there is no such file (any more). */
export type Verification =
  | { readonly kind: "whole"; readonly bytes: number }
  | { readonly kind: "gone" }
  | { readonly kind: "damaged"; readonly damage: Damage };

/** Verifies a snapshot, or a journal file that takes no more frames. */
export async function verifyFile(fs: FileReader, args: VerifyArgs): Promise<Verification> {
  const path = `${args.folder}/${args.name}`;
  try {
    if (parseJournalFileName(args.name) !== undefined) {
      const window = journalWindow(fs);
      return await verifyJournal(window, path, args).finally(() => window.close());
    }
    let bytes = 0;
    await readSnapshot(fs, path, (_source, start, end) => {
      bytes += end - start;
    });
    return { kind: "whole", bytes };
  } catch (error) {
    if (causeCode(error) === "ENOENT") return { kind: "gone" };
    // This node has read or written the file: it was of a known version.
    if (error instanceof CoterieError && error.code === "FORMAT_UNKNOWN") {
      const what = "its version has become one that nobody writes";
      return { kind: "damaged", damage: { path, offset: 0, what } };
    }
    return { kind: "damaged", damage: damageOf(error, path) };
  }
}

async function verifyJournal(
  window: FileWindow,
  path: string,
  { name, end }: VerifyArgs,
): Promise<Verification> {
  await window.open(path, end);
  const damaged = (offset: number, what: string): Verification => {
    return { kind: "damaged", damage: { path, offset, what } };
  };
  const missing = (offset: number) => damaged(offset, "a frame is not there whole");
  const file = parseJournalFileName(name);
  const reading = file === undefined ? undefined : decodeFileHeader(window.bytes, window.end, file);
  if (reading?.kind !== "valid") return damaged(0, "its header is damaged");
  const frame = emptyFrameHeader();
  for (let at = FILE_HEADER_BYTES; at < end; at += frame.length) {
    await window.show(at, FRAME_HEADER_BYTES);
    if (!frameHeaderAt(window, at, reading.header, frame)) return missing(at);
    await window.show(at, frame.length);
    if (!isWholeAt(window, at, frame)) return missing(at);
  }
  return { kind: "whole", bytes: window.length };
}
