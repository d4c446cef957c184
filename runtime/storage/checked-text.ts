/**
 * Small files that an operator can read: JSON text, then a line with the checksum of the text.
 *
 * Invariant: what `openJson` returns is what `sealText` was given, or undefined.
 */
import { checksum } from "../base/hash.ts";

/** The bytes of a text that ends with a line break, and its checksum line. */
export function sealText(text: string): Buffer {
  const bytes = Buffer.from(text);
  const sum = checksum(bytes).toString(16).padStart(8, "0");
  return Buffer.concat([bytes, Buffer.from(`checksum ${sum}\n`)]);
}

/** The object in sealed bytes; undefined if anything about them is damaged. */
export function openJson(bytes: Buffer): Record<string, unknown> | undefined {
  const match = /^([\s\S]*\n)checksum ([0-9a-f]{8})\n$/.exec(bytes.toString("utf8"));
  const text = match?.[1];
  const sum = Number.parseInt(match?.[2] ?? "", 16);
  if (text === undefined || checksum(Buffer.from(text)) !== sum) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
