/** A journal file's frames, seen through a window. */
import { corruptJournal } from "./damage.ts";
import { FileWindow } from "./file-window.ts";
import type { FileReader } from "./files.ts";
import {
  decodeFrameHeader,
  type FrameHeader,
  frameIsWhole,
  type JournalFileName,
} from "./journal-format.ts";

const WINDOW_BYTES = 2 * 1024 * 1024;

/** A window over one journal file after the other. */
export function journalWindow(fs: FileReader): FileWindow {
  return new FileWindow(fs, WINDOW_BYTES, ({ what, ...place }, cause) => {
    return corruptJournal(place, what, cause);
  });
}

/** Reads the header of the frame at `at`, which is shown; see decodeFrameHeader. */
export function frameHeaderAt(
  { bytes, start, end }: FileWindow,
  at: number,
  file: JournalFileName & { readonly generation?: string },
  into: FrameHeader,
): boolean {
  return decodeFrameHeader(bytes, at - start, end - start, file, into, at);
}

/** Whether the frame at `at`, of which all that the file has is shown, is whole. */
export function isWholeAt(
  { bytes, start, end }: FileWindow,
  at: number,
  frame: FrameHeader,
): boolean {
  return frameIsWhole(bytes, at - start, end - start, frame);
}
