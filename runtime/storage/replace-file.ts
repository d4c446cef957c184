/** Small files that are replaced whole: the node's identity, manifests, what others read of it. */
import { type FileSystem, synced } from "./files.ts";

/** Ends the names of files that are not whole yet; a start removes what was left behind. */
export const TEMPORARY_SUFFIX = ".tmp";

/**
 * Writes a small file whole or not at all: temporary name, sync, rename, folder sync. Where that
 * fails, what was begun takes no room.
 */
export async function replaceFile(
  fs: FileSystem,
  folder: string,
  name: string,
  bytes: Buffer,
): Promise<void> {
  const target = `${folder}/${name}`;
  const temporary = `${target}${TEMPORARY_SUFFIX}`;
  const file = await fs.create(temporary, "replace");
  try {
    await file.write(bytes, 0, bytes.length, 0);
    await synced(file).finally(() => file.close());
    await fs.rename(temporary, target);
  } catch (error) {
    await file.close();
    await fs.remove(temporary).catch(() => undefined);
    throw error;
  }
  await fs.syncFolder(folder);
}
