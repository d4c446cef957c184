/**
 * Opens a data folder for one process: takes its lock, checks whose it is, counts the boot.
 *
 * Invariant: nothing in the folder changes before the lock is held and the folder is known to be
 * this node's; a boot number is durable before it is used and larger than any in a file's name, so
 * no file of an earlier boot can be overwritten.
 */
import { CoterieError } from "../base/errors.ts";
import type { Random } from "../base/prng.ts";
import { isRecord, openJson, sealText } from "./checked-text.ts";
import { corrupt, unknownFormat } from "./damage.ts";
import { diskError, type FileSystem, systemCode } from "./files.ts";
import { type FolderLock, LOCK_NAME, type TakeFolderLock } from "./folder-lock.ts";
import { randomId } from "./journal-space.ts";
import { replaceFile, TEMPORARY_SUFFIX } from "./replace-file.ts";
import { withAnyLoan } from "./reserve.ts";

export const NODE_FORMAT = 1;
const IDENTITY_NAME = "node.json";
const PID_NAME = "owner.pid";

export interface DataFolderOptions {
  readonly fs: FileSystem;
  readonly lock: TakeFolderLock;
  readonly random: Random;
  readonly path: string;
  /** Cluster and node as configured: the folder of another is refused. */
  readonly clusterId: string;
  readonly nodeName: string;
  /** Of each keyspace: a key of a folder that was written with another number would not be found. */
  readonly partitions: readonly number[];
  readonly pid: number;
}

/** What `node.json` says. */
export interface NodeIdentity {
  /** 16 hex digits, random, made with the folder. */
  readonly nodeId: string;
  readonly clusterId: string;
  readonly nodeName: string;
  /** Key of the hash indexes, 16 hex digits: secret, so that names cannot be chosen to collide. */
  readonly hashKey: string;
  /** Starts of this folder, this one included. */
  readonly boot: number;
  /** Partitions of each keyspace, by index; of those, too, that are not configured any more. */
  readonly partitions: readonly number[];
}

export interface DataFolder extends NodeIdentity {
  readonly path: string;
  /** Whether this start made it. */
  readonly isNew: boolean;
  /** Lets another process have it; idempotent. */
  release(): Promise<void>;
}

/**
 * Opens or makes the folder. Throws DATA_FOLDER_IN_USE, DATA_FOLDER_FOREIGN,
 * DATA_FOLDER_UNREADABLE, DISK_READ_ONLY, DISK_FULL, FORMAT_UNKNOWN or CORRUPT.
 */
export async function openDataFolder(options: DataFolderOptions): Promise<DataFolder> {
  const { fs, path } = options;
  const realPath = await reached(fs, path);
  const lock = await lockFolder(fs, options.lock, realPath);
  try {
    const names = await fs.list(realPath);
    const known = await readIdentity(fs, realPath, names, options.random);
    if (known === undefined) refuseForeign(names, options.path);
    const identity = known ?? newIdentity(options);
    checkOwner(identity, options, realPath);
    checkPartitions(identity, options, realPath);
    await holdFile(fs, lock, realPath);
    for (const name of names) {
      if (name.endsWith(TEMPORARY_SUFFIX)) await fs.remove(`${realPath}/${name}`);
    }
    const boot = Math.max(identity.boot, largestBoot(names)) + 1;
    const removed = identity.partitions.slice(options.partitions.length);
    const started = { ...identity, boot, partitions: [...options.partitions, ...removed] };
    await withAnyLoan(fs, realPath, names, async () => {
      await writeIdentity(fs, realPath, started);
      await replaceFile(fs, realPath, PID_NAME, Buffer.from(`${options.pid}\n`));
    });
    return {
      ...started,
      path: realPath,
      isNew: known === undefined,
      ...releasing(fs, realPath, lock),
    };
  } catch (error) {
    await lock.release();
    throw folderError(error, realPath);
  }
}

/** Takes a folder's lock. Throws DATA_FOLDER_IN_USE. */
export async function lockFolder(
  fs: FileSystem,
  take: TakeFolderLock,
  realPath: string,
): Promise<FolderLock> {
  const lock = await take(realPath);
  if (lock === undefined) throw await inUse(fs, realPath);
  return lock;
}

/** Also against those whom the lock alone does not keep away. Throws DATA_FOLDER_IN_USE. */
async function holdFile(fs: FileSystem, lock: FolderLock, realPath: string): Promise<void> {
  // The first that is written here: the system says best why it cannot be.
  const made = fs.create(`${realPath}/${LOCK_NAME}`, "new").then((file) => file.close());
  await made.catch((error: unknown) => {
    if (systemCode(error) !== "EEXIST") throw error;
  });
  if (!holds(lock, realPath)) throw await inUse(fs, realPath);
}

function holds(lock: FolderLock, path: string): boolean {
  try {
    return lock.holdFile();
  } catch (error) {
    throw new CoterieError(
      "DISK_FAILED",
      `cannot lock ${path}/${LOCK_NAME} (${error instanceof Error ? error.message : error}): the ` +
        "data folder must be on a file system that can lock files",
      { detail: { path }, cause: error },
    );
  }
}

/** Makes the folder, if it is not there; its one name. */
export async function reached(fs: FileSystem, path: string): Promise<string> {
  try {
    await fs.makeFolder(path);
    return await fs.realPath(path);
  } catch (error) {
    throw folderError(error, path);
  }
}

/** Turns a failed call on a folder into an operating error. */
export function folderError(error: unknown, path: string): CoterieError {
  if (error instanceof CoterieError) return error;
  const code = systemCode(error);
  if (code === "EEXIST" || code === "ENOTDIR") {
    return new CoterieError(
      "DATA_FOLDER_UNREADABLE",
      `the data folder ${path} is a file, or lies under one: choose another with --data`,
      { detail: { path, systemCode: code }, cause: error },
    );
  }
  if (code === "ENOENT" || code === "EINVAL") {
    return new CoterieError(
      "DATA_FOLDER_UNREADABLE",
      `the data folder ${path} cannot be made (${code}): choose another with --data`,
      { detail: { path, systemCode: code }, cause: error },
    );
  }
  return diskError(error, "use the data folder", path);
}

function releasing(fs: FileSystem, folder: string, lock: FolderLock): { release(): Promise<void> } {
  let released = false;
  return {
    async release() {
      if (released) return;
      released = true;
      await fs.remove(`${folder}/${PID_NAME}`).catch(() => undefined);
      await lock.release();
    },
  };
}

async function inUse(fs: FileSystem, path: string): Promise<CoterieError> {
  const text = await fs.readWhole(`${path}/${PID_NAME}`).catch(() => Buffer.alloc(0));
  const pid = Number.parseInt(text.toString("latin1"), 10);
  const who = Number.isInteger(pid) ? `process ${pid}` : "another process";
  return new CoterieError(
    "DATA_FOLDER_IN_USE",
    `the data folder ${path} is in use by ${who}: stop it first, or choose another with --data`,
    { detail: { path, ...(Number.isInteger(pid) ? { pid } : {}) } },
  );
}

/** The largest boot number in the names of journals and manifests. */
function largestBoot(names: readonly string[]): number {
  let largest = 0;
  for (const name of names) {
    const match = /^(?:journal|manifest)-(\d{8})-/.exec(name);
    if (match !== null) largest = Math.max(largest, Number(match[1]));
  }
  return largest;
}

/** A folder without an identity must be empty. */
export function refuseForeign(names: readonly string[], path: string): void {
  const foreign = names.find((name) => !mayPrecedeUs(name));
  if (foreign === undefined) return;
  throw new CoterieError(
    "DATA_FOLDER_FOREIGN",
    `${path} has no ${IDENTITY_NAME} but holds ${foreign}: it is not a data folder of ` +
      "Coterie, or its identity is lost. Choose an empty folder, or restore the file",
    { detail: { path, name: foreign } },
  );
}

/** A node that never started. */
export function newIdentity({
  clusterId,
  nodeName,
  random,
}: Pick<DataFolderOptions, "clusterId" | "nodeName" | "random">): NodeIdentity {
  const [nodeId, hashKey] = [randomId(random), randomId(random)];
  return { nodeId, clusterId, nodeName, hashKey, boot: 0, partitions: [] };
}

/** What a mount, a shell or a first start that was cut short leaves in a folder. */
function mayPrecedeUs(name: string): boolean {
  return (
    name.startsWith(".") ||
    name === "lost+found" ||
    name === PID_NAME ||
    name === LOCK_NAME ||
    name.endsWith(TEMPORARY_SUFFIX)
  );
}

function checkOwner(identity: NodeIdentity, options: DataFolderOptions, path: string): void {
  const { clusterId, nodeName } = identity;
  if (clusterId === options.clusterId && nodeName === options.nodeName) return;
  throw new CoterieError(
    "DATA_FOLDER_FOREIGN",
    `the data folder ${path} belongs to node ${nodeName} of cluster ${clusterId}, not to node ` +
      `${options.nodeName} of cluster ${options.clusterId}: choose another with --data, ` +
      "or start the node that it belongs to",
    { detail: { path, clusterId, nodeName } },
  );
}

/** Keys would be looked for in other partitions than those that hold them. */
function checkPartitions(
  known: NodeIdentity,
  { partitions }: DataFolderOptions,
  path: string,
): void {
  const keyspace = partitions.findIndex((count, i) => count !== (known.partitions[i] ?? count));
  if (keyspace < 0) return;
  const before = known.partitions[keyspace];
  throw new CoterieError(
    "CONFIG_INVALID",
    `keyspace ${keyspace} has ${before} partitions in the data folder ${path}, and ` +
      `${partitions[keyspace]} in the configuration: they are fixed at a folder's first start. ` +
      "Set them back, or choose another folder with --data",
    { detail: { path, keyspace, partitions: before } },
  );
}

function encodeIdentity(identity: NodeIdentity): Buffer {
  const { nodeId, clusterId, nodeName, hashKey, boot, partitions } = identity;
  const value = { format: NODE_FORMAT, nodeId, clusterId, nodeName, hashKey, boot, partitions };
  return sealText(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** Makes what says whose a folder is; from then on a node starts on it. */
export async function writeIdentity(
  fs: FileSystem,
  folder: string,
  identity: NodeIdentity,
): Promise<void> {
  await replaceFile(fs, folder, IDENTITY_NAME, encodeIdentity(identity));
  await fs.syncFolder(folder.slice(0, folder.lastIndexOf("/")) || "/");
}

/** What `node.json` says; undefined: there is none. Throws CORRUPT or FORMAT_UNKNOWN. */
export async function readIdentity(
  fs: FileSystem,
  folder: string,
  names: readonly string[],
  random: Random,
): Promise<NodeIdentity | undefined> {
  if (!names.includes(IDENTITY_NAME)) return undefined;
  const path = `${folder}/${IDENTITY_NAME}`;
  const value = openJson(await fs.readWhole(path));
  if (isRecord(value) && value.format !== NODE_FORMAT) {
    throw unknownFormat(path, value.format, NODE_FORMAT);
  }
  const { nodeId, clusterId, nodeName, boot, partitions = [] } = value ?? {};
  // One of an earlier commit has a seed of 32 bits instead.
  const hashKey = value?.hashKey ?? (typeof value?.hashSeed === "number" && randomId(random));
  const whole =
    isId(nodeId) &&
    isId(hashKey) &&
    typeof clusterId === "string" &&
    typeof nodeName === "string" &&
    typeof boot === "number" &&
    Number.isSafeInteger(boot) &&
    Array.isArray(partitions) &&
    partitions.every((count) => Number.isSafeInteger(count));
  if (whole) return { nodeId, clusterId, nodeName, hashKey, boot, partitions };
  throw corrupt("the identity", { path, offset: 0, what: "its checksum or a field does not fit" });
}

function isId(value: unknown): value is string {
  return typeof value === "string" && /^[0-9a-f]{16}$/.test(value);
}
