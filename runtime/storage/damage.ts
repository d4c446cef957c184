/**
 * Damage: what a checksum, a number or a missing file proves to be wrong on the disk, beyond what a
 * crash leaves. Whoever finds it stops with CORRUPT; salvage lists it instead.
 */
import { CoterieError } from "../base/errors.ts";

/** Where a file is wrong, and how. */
export interface Damage {
  readonly path: string;
  readonly offset: number;
  readonly what: string;
}

/** The error that names a damaged file (`kind` says which sort) and what can be done. */
export function corrupt(kind: string, damage: Damage, cause?: unknown): CoterieError {
  const { path, offset, what } = damage;
  const folder = path.slice(0, path.lastIndexOf("/"));
  return new CoterieError(
    "CORRUPT",
    `${kind} ${path} is damaged at offset ${offset}: ${what}. Nothing is served from damaged ` +
      "data: restore the folder from a backup, or take what is readable of it to a new one: " +
      `coterie salvage --data ${folder} --to FOLDER`,
    { detail: { path, offset, what }, cause },
  );
}

/** The error for what must not be there, or must not be missing, in a journal file. */
export function corruptJournal(
  place: { readonly path: string; readonly offset: number },
  what: string,
  cause?: unknown,
): CoterieError {
  return corrupt("the journal file", { ...place, what }, cause);
}

/** What a failed reading of a file found. Throws what is no damage, FORMAT_UNKNOWN above all. */
export function damageOf(error: unknown, path: string): Damage {
  if (error instanceof CoterieError && error.code === "CORRUPT") {
    const { offset, what } = error.detail as { offset: number; what: string };
    return { path, offset, what };
  }
  if (error instanceof Error && "code" in error && error.code === "EIO") {
    return { path, offset: 0, what: "the disk does not give its bytes" };
  }
  throw error;
}

/** The error for a file that another version wrote. */
export function unknownFormat(path: string, format: unknown, known: number): CoterieError {
  return new CoterieError(
    "FORMAT_UNKNOWN",
    `${path} has format ${String(format)}, this version reads ${known}: ` +
      "start the version that wrote it, or a newer one",
    { detail: { path, format } },
  );
}
