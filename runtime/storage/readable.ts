/** What a bad disk still gives of a file, for salvage. */
import { type FileSystem, systemCode } from "./files.ts";

/** Bytes that are read at a time where a whole file cannot be read. */
const PIECE_BYTES = 4096;

/** A file's bytes up to a limit; zeros where the disk does not give them. */
export async function readWhatIsThere(
  fs: FileSystem,
  path: string,
  limit: number,
  unreadable: (offset: number) => void,
): Promise<Buffer> {
  const file = await fs.open(path, "read");
  try {
    const length = Math.min(await file.size(), limit);
    const bytes = Buffer.alloc(length);
    try {
      await file.read(bytes, 0, length, 0);
    } catch (error) {
      if (systemCode(error) !== "EIO") throw error;
      for (let at = 0; at < length; at += PIECE_BYTES) {
        const piece = Math.min(PIECE_BYTES, length - at);
        await file.read(bytes, at, piece, at).catch(() => {
          bytes.fill(0, at, at + piece);
          unreadable(at);
        });
      }
    }
    return bytes;
  } finally {
    await file.close();
  }
}
