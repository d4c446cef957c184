/** Ops put in order by vnode: all of them, each vnode's as they came, before their bytes go. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { below, seeded } from "../../../runtime/base/prng.ts";
import { readManifests } from "../../../runtime/storage/manifest.ts";
import { OpsByVnode } from "../../../runtime/storage/ops-by-vnode.ts";
import { recover } from "../../../runtime/storage/recovery.ts";
import { append, FOLDER, NODE_ID, newDisk, openJournal, recoverStates, until } from "./support.ts";

test("a vnode's ops are visited together, in the order in which they came, and once", () => {
  const ops = new OpsByVnode();
  for (const [vnode, start] of [
    [7, 0],
    [3, 10],
    [7, 20],
    [3, 30],
  ] as const) {
    ops.add(vnode, start, start + 5);
  }
  const visited: number[][] = [];
  const visit = (...op: number[]) => void visited.push(op);
  ops.drain(visit);
  ops.drain(visit);
  ops.add(7, 40, 45);
  ops.drain(visit);
  assert.deepEqual(visited, [
    [7, 0, 5],
    [7, 20, 25],
    [3, 10, 15],
    [3, 30, 35],
    [7, 40, 45],
  ]);
});

test("what a journal of several windows and files holds comes back the same, vnode by vnode", async () => {
  const random = seeded(5);
  const disk = await newDisk();
  const fs = disk.mount();
  const { journal } = await openJournal(fs, { fileBytes: 5 << 20, stepBytes: 1 << 20 });
  const sequences = [0, 0, 0, 0];
  for (let commit = 1; journal.fileNumber < 3; commit++) {
    for (let i = 0; i < 4; i++) {
      const vnode = below(random, sequences.length);
      sequences[vnode] = (sequences[vnode] as number) + 1;
      const text = `${vnode}:${sequences[vnode]}:`.repeat(below(random, 20_000));
      append(journal, vnode, sequences[vnode] as number, text);
    }
    journal.commit();
    await until(() => journal.durableThrough === commit);
  }
  const { states } = await recoverStates(fs);
  const ops = new OpsByVnode();
  const regrouped = new Map<number, string[]>([...states.keys()].map((vnode) => [vnode, []]));
  await recover({
    fs,
    folder: FOLDER,
    nodeId: NODE_ID,
    manifests: await readManifests(fs, FOLDER, NODE_ID),
    filter: () => true,
    onOp: ({ vnodeId, start, end }) => ops.add(vnodeId, start, end),
    beforeMove: (bytes) => {
      ops.drain((vnode, start, end) => {
        regrouped.get(vnode)?.push(bytes.toString("latin1", start, end));
      });
    },
  });
  assert.ok([...states].every(([vnode, texts]) => texts.join() === regrouped.get(vnode)?.join()));
  assert.equal(states.size, 4);
});
