/** `ports.json` in the data folder: says where a running node listens, for tools. */
import type { NodePorts } from "../../runtime/config.ts";
import { diskError, type FileSystem } from "../../runtime/storage/files.ts";
import { replaceFile } from "../../runtime/storage/replace-file.ts";

const PORTS_NAME = "ports.json";

/** Throws the disk's CoterieError. */
export async function writePortsFile(
  fs: FileSystem,
  folder: string,
  ports: NodePorts,
): Promise<void> {
  try {
    await replaceFile(fs, folder, PORTS_NAME, Buffer.from(`${JSON.stringify(ports)}\n`));
  } catch (error) {
    throw diskError(error, "write", `${folder}/${PORTS_NAME}`);
  }
}

/** At a start one that a killed node left; it may say where somebody else listens now. */
export async function removePortsFile(fs: FileSystem, folder: string): Promise<void> {
  await fs.remove(`${folder}/${PORTS_NAME}`).catch(() => undefined);
}
