/**
 * Verifies files that count and are not written any more: reads all of one again and checks what
 * has a checksum. For the scrub, which finds damage while the node still has the data in memory.
 */
import { CoterieError } from "../base/errors.ts";
import { type Damage, damageOf } from "./damage.ts";
import { causeCode, type FileReader } from "./files.ts";
import {
  decodeFileHeader,
  decodeFrameHeader,
  emptyFrameHeader,
  FILE_HEADER_BYTES,
  frameIsWhole,
  parseJournalFileName,
} from "./journal-format.ts";
import { readSnapshot } from "./snapshot.ts";
import { WholeFileReader } from "./survey.ts";

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
    if (parseJournalFileName(args.name) !== undefined) return await verifyJournal(fs, path, args);
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
  fs: FileReader,
  path: string,
  { name, end }: VerifyArgs,
): Promise<Verification> {
  const reader = new WholeFileReader(fs);
  const length = await reader.read(path, end);
  const { bytes } = reader;
  const damaged = (offset: number, what: string): Verification => {
    return { kind: "damaged", damage: { path, offset, what } };
  };
  const file = parseJournalFileName(name);
  const reading = file === undefined ? undefined : decodeFileHeader(bytes, length, file);
  if (reading?.kind !== "valid") return damaged(0, "its header is damaged");
  const frame = emptyFrameHeader();
  for (let at = FILE_HEADER_BYTES; at < end; at += frame.length) {
    const isThere =
      decodeFrameHeader(bytes, at, length, reading.header, frame) &&
      frameIsWhole(bytes, at, length, frame);
    if (!isThere) return damaged(at, "a frame is not there whole");
  }
  return { kind: "whole", bytes: length };
}
