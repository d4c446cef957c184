/**
 * Gives back the room of journal files that hold no frame: starts that failed leave them, and so does
 * a node that is killed before it is written to. Looked for before a start needs room itself.
 *
 * Invariant: a file that a manifest names stays, cut to its header: if it were missing, that would be
 * damage. What may be torn stays as it is.
 */
import type { FileSystem } from "./files.ts";
import { FILE_HEADER_BYTES } from "./journal-format.ts";
import type { FolderSurvey, SurveyedFile } from "./survey.ts";

/** What is left to be found in the folder. What cannot be given back stays. */
export async function reclaim(
  fs: FileSystem,
  folder: string,
  found: FolderSurvey,
): Promise<FolderSurvey> {
  const { manifests, survey } = found;
  const files: SurveyedFile[] = [];
  for (const file of survey.files) {
    const path = `${folder}/${file.name}`;
    const isNamed = manifests.files.has(file.name);
    const isRemoved = isEmpty(file) && !isNamed && (await isGone(fs, path));
    if (!isRemoved) files.push(file);
    if (isEmpty(file) && isNamed) await cut(fs, path).catch(() => undefined);
  }
  return { manifests, survey: { ...survey, files } };
}

function isEmpty({ reason, accepted, droppedBytes }: SurveyedFile): boolean {
  const isWhole = reason === "whole" || reason === "unused";
  return isWhole && accepted <= FILE_HEADER_BYTES && droppedBytes === 0;
}

function isGone(fs: FileSystem, path: string): Promise<boolean> {
  return fs.remove(path).then(
    () => true,
    () => false,
  );
}

async function cut(fs: FileSystem, path: string): Promise<void> {
  if ((await fs.size(path)) <= FILE_HEADER_BYTES) return;
  const file = await fs.open(path, "write");
  await file.truncate(FILE_HEADER_BYTES).finally(() => file.close());
}
