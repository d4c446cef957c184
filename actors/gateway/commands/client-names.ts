/** Which names and attributes a client may give itself: visible ASCII, for CLIENT LIST's lines. */
import type { Request } from "../../../runtime/codec/request.ts";

export const NAME_NOT_PLAIN =
  "ERR Client names cannot contain spaces, newlines or special characters.";

// limits:
/** Longest name or attribute that a client may give itself: it is kept and listed. */
export const CLIENT_NAME_BYTES_MAX = 4096;

/** Whether argument `i` has only the characters from "!" to "~". */
export function isPlainName(request: Request, i: number): boolean {
  const end = request.ends[i] as number;
  const start = request.starts[i] as number;
  if (end - start > CLIENT_NAME_BYTES_MAX) return false;
  for (let at = start; at < end; at++) {
    const byte = request.bytes[at] as number;
    if (byte < 33 || byte > 126) return false;
  }
  return true;
}
