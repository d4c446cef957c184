/** A journal of five frames, all in its first file, for tests that damage it. */

import { CoterieError, type ErrorCode } from "../../../runtime/base/errors.ts";
import { journalFileName } from "../../../runtime/storage/journal-format.ts";
import type { MemoryDisk } from "../../../runtime/storage/memory-files.ts";
import { append, commitNow, FOLDER, newDisk, openJournal, until, type Written } from "./support.ts";

export const FIRST = `${FOLDER}/${journalFileName({ boot: 1, worker: 0, number: 1 })}`;

export function code(wanted: ErrorCode, path?: string) {
  return (error: unknown) =>
    error instanceof CoterieError &&
    error.code === wanted &&
    (path === undefined || (error.detail.path === path && error.message.includes(path)));
}

/** Five durable frames of one op each, all proven but the last. */
export async function fiveFrames(
  seed = 1,
  settle = true,
): Promise<{ disk: MemoryDisk; frames: Written[] }> {
  const disk = await newDisk(seed);
  const { journal } = await openJournal(disk.mount());
  const frames: Written[] = [];
  for (let sequence = 1; sequence <= 5; sequence++) {
    append(journal, 1, sequence, `op ${sequence}`);
    frames.push(await commitNow(disk, journal, [`op ${sequence}`]));
    if (settle) await until(() => journal.durableThrough === sequence);
  }
  return { disk, frames };
}

export function edit(disk: MemoryDisk, path: string, change: (bytes: Buffer) => Buffer): void {
  disk.put(path, change(disk.peek(path)));
}
