/**
 * Headers of a journal's frames, laid into the arena that holds them: what is the same for all frames
 * of a file is encoded once a file. Bytes as in docs/formats/journal.md.
 *
 * Invariant: nothing is allocated a frame.
 */
import { copyBytes } from "../base/bytes.ts";
import type { FrameArena } from "./frame-arena.ts";
import {
  emptyFrameHeader,
  encodeFrameHeader,
  encodeFrameIdentity,
  type FileHeader,
  type FrameHeader,
} from "./journal-format.ts";

/** Bytes of a frame's header that are the same for all frames of a file. */
const IDENTITY_BYTES = 32;

export class FrameHeaders {
  readonly #header: FrameHeader = emptyFrameHeader();
  readonly #identity = Buffer.alloc(IDENTITY_BYTES);

  /** Further frames go to this file. */
  startFile(file: FileHeader): void {
    encodeFrameIdentity(this.#identity, file);
  }

  /** Completes the arena's frame, which has its ops and is `length` bytes long, for its place. */
  lay(arena: FrameArena, commit: number, through: number, length: number, position: number): void {
    const { bytes } = arena;
    this.#header.directoryOffset = arena.layDirectory();
    this.#header.directoryCount = arena.segments;
    this.#header.opCount = arena.ops;
    this.#header.commit = commit;
    this.#header.durableThrough = through;
    this.#header.length = length;
    copyBytes(bytes, 0, this.#identity, 0, IDENTITY_BYTES);
    encodeFrameHeader(bytes, position, this.#header);
  }
}
