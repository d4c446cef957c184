/**
 * Feeds pieces of a stream to a RespReader as a gateway does, and says what came out: so that tests
 * can ask for the same outcome however the stream is cut and wherever its bytes are moved.
 */
import assert from "node:assert/strict";
import { FAILED, PARSED, RespReader } from "../../runtime/codec/resp-reader.ts";

/** What a stream of bytes comes to: its commands, and how it ended. */
export interface Outcome {
  readonly commands: string[][];
  readonly error: string;
  readonly forgery: boolean;
}

/** How the caller keeps what is unfinished between pieces. */
export type Keep = "moved" | "grown" | "from the old start";

/** Feeds the pieces as a gateway does. */
export function feed(
  pieces: readonly Buffer[],
  keep: Keep = "moved",
  reader = new RespReader(),
): Outcome {
  const commands: string[][] = [];
  let buffer = keep === "moved" ? Buffer.alloc(0) : Buffer.concat(pieces);
  let at = 0;
  let end = 0;
  for (const piece of pieces) {
    end += piece.length;
    if (keep === "moved") {
      // The content moves, to an offset that differs from the last one.
      const pad = at === 3 ? 0 : 3;
      buffer = Buffer.concat([Buffer.alloc(pad, "#"), buffer.subarray(at), piece]);
      at = pad;
      end = buffer.length;
    }
    let outcome = reader.parse(buffer, at, end);
    for (; outcome === PARSED; outcome = reader.parse(buffer, at, end)) {
      commands.push(words(reader));
      at = reader.next;
    }
    if (outcome === FAILED) return { commands, error: reader.error, forgery: reader.forgery };
    assert.ok(reader.missingBytes > 0, "what is incomplete lacks bytes");
    if (keep !== "from the old start") at = reader.next;
  }
  return { commands, error: "", forgery: false };
}

export function words(reader: RespReader): string[] {
  return Array.from({ length: reader.request.count }, (_, i) => reader.request.text(i));
}

export function bytewise(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
}

export function latin1(text: string): Buffer {
  return Buffer.from(text, "latin1");
}
