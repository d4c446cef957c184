/**
 * The intents of this worker's transactions over several workers: what is logged and synced before
 * the first of them changes anything, and removed when all of it is durable.
 *
 * They are strings of a vnode of their own, which goes through the worker's journal and snapshots as
 * all do: keyspace 65535, partition = the worker that coordinates. With fewer workers than before,
 * the partitions that are left over are found here as well; they only ever shrink.
 *
 * Invariant: an intent that was durable is found after a crash unless it was removed.
 */
import { assert } from "../../runtime/base/assert.ts";
import { forEachKey } from "../gateway/commands/live-keys.ts";
import { ABSENT } from "../vnode/key-access.ts";
import type { Vnode } from "../vnode/vnode.ts";
import { SYSTEM_KEYSPACE, vnodeId } from "../vnode/vnode-id.ts";
import { decodeIntent, encodeIntent, type Intent } from "./intent-codec.ts";

/** The vnode that holds the intents of a worker. */
export function intentsVnodeId(worker: number): number {
  return vnodeId(SYSTEM_KEYSPACE, worker);
}

export class Intents {
  readonly #own: number;
  readonly #create: (id: number) => Vnode;
  readonly #vnodes = new Map<number, Vnode>();

  constructor(worker: number, create: (id: number) => Vnode) {
    this.#own = intentsVnodeId(worker);
    this.#create = create;
  }

  /** Takes a recovered vnode. */
  adopt(vnode: Vnode): void {
    this.#vnodes.set(vnode.id, vnode);
  }

  find(id: number): Vnode | undefined {
    return this.#vnodes.get(id);
  }

  /** The vnodes that exist. */
  vnodes(): Iterable<Vnode> {
    return this.#vnodes.values();
  }

  /** Appends an intent to the log; answers the gate that opens when it is durable. */
  put(intent: Intent): number {
    const vnode = this.#vnodes.get(this.#own) ?? this.#create(this.#own);
    this.#vnodes.set(this.#own, vnode);
    const { key } = vnode;
    const name = Buffer.from(intent.id, "latin1");
    const value = encodeIntent(intent);
    key.gate = 0;
    key.openKey(name, 0, name.length);
    key.setString(value, 0, value.length, 0);
    vnode.partition.finish();
    return key.gate;
  }

  /** Removes intents, in one op. */
  remove(ids: readonly string[]): void {
    for (const vnode of this.#vnodes.values()) {
      for (const id of ids) {
        const name = Buffer.from(id, "latin1");
        if (vnode.key.openKey(name, 0, name.length) !== ABSENT) vnode.key.deleteKey();
      }
      vnode.partition.finish();
    }
  }

  /** Every intent that is logged, oldest first: by stamps, since the wall clock may be set back. */
  all(): Intent[] {
    const intents: { readonly intent: Intent; readonly hlc: number }[] = [];
    for (const vnode of this.#vnodes.values()) {
      const names: Buffer[] = [];
      forEachKey(vnode, 0, (bytes, start, end) => {
        names.push(Buffer.from(bytes.subarray(start, end)));
        return true;
      });
      for (const name of names) {
        const intent = read(vnode, name);
        intents.push({ intent, hlc: vnode.table.records.hlc(vnode.key.view.ref) });
      }
    }
    return intents.sort((a, b) => a.hlc - b.hlc).map(({ intent }) => intent);
  }
}

function read(vnode: Vnode, name: Buffer): Intent {
  const { key } = vnode;
  assert(key.openKey(name, 0, name.length) !== ABSENT, "a listed intent is there");
  key.loadString();
  return decodeIntent(name.toString("latin1"), key.buffer.subarray(key.start, key.end));
}
