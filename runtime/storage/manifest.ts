/**
 * The manifest of a worker: which snapshots and which journal files make up what it holds. Format:
 * docs/formats/manifest.md (JSON that an operator can read, and a line with its checksum).
 *
 * Invariant: replaced whole (temporary name, sync, rename, folder sync), and always last: what it
 * names is durable before it, and what it no longer names is removed only after it. A worker writes
 * one that lists how far every old journal file counts before it appends its first op.
 */
import { CoterieError } from "../base/errors.ts";
import { isRecord, openJson, sealText } from "./checked-text.ts";
import { corrupt, type Damage, damageOf, unknownFormat } from "./damage.ts";
import { diskError, type FileSystem } from "./files.ts";
import { replaceFile } from "./replace-file.ts";

export const MANIFEST_FORMAT = 1;

/** A vnode's newest snapshot. */
export interface ManifestVnode {
  readonly id: number;
  /** File name; absent when the vnode has been log only. */
  readonly snapshot?: string;
  /** Sequence of the last op that the snapshot contains. */
  readonly sequence: number;
}

/** A journal file that is still needed. */
export interface ManifestFile {
  readonly name: string;
  /** Commit that it begins with; 0 if nothing in it counts. */
  readonly firstCommit: number;
  /** Bytes that count, header included; absent for a file that is still written. */
  readonly accepted?: number;
  /** Last commit, in it or before it, that was known to be durable; absent: none was. */
  readonly durable?: number;
}

export interface Manifest {
  /** 16 hex digits. */
  readonly nodeId: string;
  readonly boot: number;
  readonly worker: number;
  readonly vnodes: readonly ManifestVnode[];
  readonly files: readonly ManifestFile[];
}

/** A file and how far it counts. */
export interface AcceptedFile {
  readonly name: string;
  readonly firstCommit: number;
  readonly accepted: number;
}

/** All manifests of a folder together. */
export interface Manifests {
  /** The largest boot that left one; 0 without any. */
  readonly boot: number;
  readonly vnodes: ReadonlyMap<number, ManifestVnode>;
  readonly files: ReadonlyMap<string, ManifestFile>;
  /** (boot, worker) of each, as `bootAndWorker` writes it. */
  readonly writers: ReadonlySet<string>;
  /** File names of the manifests themselves. */
  readonly names: readonly string[];
}

/** Sequence of the last op of a vnode that its snapshot holds; 0 without one. */
export function snapshotSequence({ vnodes }: Manifests, id: number): number {
  const listed = vnodes.get(id);
  return listed?.snapshot === undefined ? 0 : listed.sequence;
}

export const noManifests: Manifests = {
  boot: 0,
  vnodes: new Map(),
  files: new Map(),
  writers: new Set(),
  names: [],
};

const KIND = "the manifest";
const NAME = /^manifest-(\d{8})-(\d{3})\.json$/;

export function manifestName({ boot, worker }: { boot: number; worker: number }): string {
  return `manifest-${String(boot).padStart(8, "0")}-${String(worker).padStart(3, "0")}.json`;
}

/** What a manifest's file name says; undefined: it is none. */
export function parseManifestName(name: string): { boot: number; worker: number } | undefined {
  const match = NAME.exec(name);
  return match === null ? undefined : { boot: Number(match[1]), worker: Number(match[2]) };
}

export function bootAndWorker({ boot, worker }: { boot: number; worker: number }): string {
  return `${boot}/${worker}`;
}

export function encodeManifest(manifest: Manifest): Buffer {
  const { nodeId, boot, worker } = manifest;
  const vnodes = manifest.vnodes.map((vnode) => `    ${JSON.stringify(vnode)}`).join(",\n");
  const files = manifest.files.map((file) => `    ${JSON.stringify(file)}`).join(",\n");
  const head = JSON.stringify({ format: MANIFEST_FORMAT, nodeId, boot, worker }).slice(1, -1);
  const list = (name: string, lines: string) =>
    `  "${name}": [${lines === "" ? "" : `\n${lines}\n  `}]`;
  const text = `{\n  ${head},\n${list("vnodes", vnodes)},\n${list("files", files)}\n}\n`;
  return sealText(text);
}

/** Reads a manifest's bytes; throws CORRUPT or FORMAT_UNKNOWN naming the file. */
export function decodeManifest(bytes: Buffer, path: string): Manifest {
  const value = openJson(bytes);
  if (value === undefined)
    throw corrupt(KIND, { path, offset: 0, what: "its checksum does not match" });
  if (value.format !== MANIFEST_FORMAT) {
    throw unknownFormat(path, value.format, MANIFEST_FORMAT);
  }
  const { nodeId, boot, worker, vnodes, files } = value;
  const whole =
    typeof nodeId === "string" &&
    isCount(boot) &&
    isCount(worker) &&
    Array.isArray(vnodes) &&
    vnodes.every(isVnode) &&
    Array.isArray(files) &&
    files.every(isFile);
  if (!whole) throw corrupt(KIND, { path, offset: 0, what: "a field has a wrong type" });
  return { nodeId, boot, worker, vnodes, files };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isVnode(value: unknown): value is ManifestVnode {
  if (!isRecord(value) || !isCount(value.id) || !isCount(value.sequence)) return false;
  return value.snapshot === undefined || typeof value.snapshot === "string";
}

function isFile(value: unknown): value is ManifestFile {
  if (!isRecord(value) || typeof value.name !== "string" || !isCount(value.firstCommit)) {
    return false;
  }
  const { accepted, durable } = value;
  return (
    (accepted === undefined || isCount(accepted)) && (durable === undefined || isCount(durable))
  );
}

/** Makes the manifest durable in the place of this worker's earlier one of the same boot. */
export async function writeManifest(
  fs: FileSystem,
  folder: string,
  manifest: Manifest,
): Promise<void> {
  const name = manifestName(manifest);
  try {
    await replaceFile(fs, folder, name, encodeManifest(manifest));
  } catch (error) {
    throw diskError(error, "write", `${folder}/${name}`);
  }
}

/** Reads and merges every manifest: of a vnode the newest snapshot, of a file the least bytes. */
export async function readManifests(
  fs: FileSystem,
  folder: string,
  nodeId: string,
): Promise<Manifests> {
  const names = (await fs.list(folder)).filter((name) => NAME.test(name));
  const all: Manifest[] = [];
  for (const name of names) {
    const manifest = decodeManifest(await fs.readWhole(`${folder}/${name}`), `${folder}/${name}`);
    if (manifest.nodeId !== nodeId) {
      throw new CoterieError(
        "DATA_FOLDER_FOREIGN",
        `${folder}/${name} belongs to node ${manifest.nodeId}, this folder to ${nodeId}: ` +
          "move the foreign files away",
        { detail: { path: `${folder}/${name}`, nodeId: manifest.nodeId } },
      );
    }
    all.push(manifest);
  }
  return { ...mergeManifests(all), names };
}

/** As `readManifests`, for salvage: tells `damaged` of those that cannot be read or are foreign. */
export async function readableManifests(
  fs: FileSystem,
  folder: string,
  nodeId: string | undefined,
  damaged: (damage: Damage) => void,
): Promise<Manifests> {
  const names = (await fs.list(folder)).filter((name) => NAME.test(name));
  const all: Manifest[] = [];
  for (const name of names) {
    const path = `${folder}/${name}`;
    try {
      const manifest = decodeManifest(await fs.readWhole(path), path);
      if (manifest.nodeId === (nodeId ?? all[0]?.nodeId ?? manifest.nodeId)) all.push(manifest);
      else damaged({ path, offset: 0, what: `it belongs to node ${manifest.nodeId}: not used` });
    } catch (error) {
      damaged(damageOf(error, path));
    }
  }
  return { ...mergeManifests(all), names };
}

export function mergeManifests(all: readonly Manifest[]): Manifests {
  const vnodes = new Map<number, ManifestVnode>();
  const files = new Map<string, ManifestFile>();
  let boot = 0;
  for (const manifest of all) {
    boot = Math.max(boot, manifest.boot);
    for (const vnode of manifest.vnodes) {
      const known = vnodes.get(vnode.id);
      const newer =
        known === undefined ||
        vnode.sequence > known.sequence ||
        (vnode.sequence === known.sequence && known.snapshot === undefined);
      if (newer) vnodes.set(vnode.id, vnode);
    }
    for (const file of manifest.files) {
      files.set(file.name, mergeFile(files.get(file.name), file));
    }
  }
  return { boot, vnodes, files, writers: new Set(all.map(bootAndWorker)), names: [] };
}

function mergeFile(a: ManifestFile | undefined, b: ManifestFile): ManifestFile {
  if (a === undefined) return b;
  const firstCommit = a.firstCommit === 0 ? b.firstCommit : a.firstCommit;
  const accepted = Math.min(
    a.accepted ?? Number.POSITIVE_INFINITY,
    b.accepted ?? Number.POSITIVE_INFINITY,
  );
  const base = { name: a.name, firstCommit, durable: Math.max(a.durable ?? 0, b.durable ?? 0) };
  return Number.isFinite(accepted) ? { ...base, accepted } : base;
}
