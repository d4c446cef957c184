/** The scrub: which files it reads when, and what it does about damage. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  SCRUB_BYTES_PER_SECOND,
  SCRUB_EVERY_MS,
  SCRUB_LOOK_MS,
  Scrub,
} from "../../../actors/supervisor/scrub.ts";
import type { RestingFile } from "../../../actors/worker/worker-control.ts";
import { ManualClock } from "../../../runtime/base/clock.ts";
import type { Verification, VerifyArgs } from "../../../runtime/storage/verify.ts";
import type { Pool } from "../../../runtime/thread/pool.ts";

const WHOLE: Verification = { kind: "whole", bytes: 1000 };
const DAMAGED: Verification = {
  kind: "damaged",
  damage: { path: "/data/b", offset: 512, what: "a frame is not there whole" },
};

/** A scrub of files that the test names, on a pool that answers what the test says. */
function staged(files: RestingFile[][], answers: Record<string, Verification | Error> = {}) {
  const clock = new ManualClock();
  const read: string[] = [];
  const replaced: string[] = [];
  const told: string[] = [];
  let closed = 0;
  const pool: Pool = {
    run: (async (_job: string, { name }: VerifyArgs) => {
      read.push(name);
      const answer = answers[name] ?? WHOLE;
      if (answer instanceof Error) throw answer;
      return answer;
    }) as Pool["run"],
    async close() {
      closed++;
    },
  };
  const scrub = new Scrub({
    pool,
    folder: "/data",
    workers: files.length,
    clock,
    timers: clock,
    lookMs: SCRUB_LOOK_MS,
    resting: async (worker) => files[worker],
    replace: async (worker, name) => void replaced.push(`${worker}/${name}`),
    damaged: ({ path, offset, what }) => void told.push(`${path} ${offset} ${what}`),
    failed: (error) => void told.push(String(error)),
  });
  /** Lets time go by, with everything that follows from it. */
  const pass = async (ms: number) => {
    clock.advance(ms);
    for (let i = 0; i < 50; i++) await Promise.resolve();
  };
  return { scrub, read, replaced, told, pass, answers, closed: () => closed };
}

const A = { name: "a", end: 0 };
const B = { name: "b", end: 4096 };

test("each file is read once a day, one after the other, and new ones soon", async () => {
  const files = [[A], [B]];
  const { read, pass, scrub } = staged(files);
  await pass(SCRUB_LOOK_MS - 1);
  assert.deepEqual(read, []);
  await pass(1);
  assert.deepEqual(read, ["a"]);
  assert.equal(scrub.facts.waiting, 1);
  await pass(1000);
  assert.deepEqual(read, ["a", "b"]);
  await pass(1000);
  files[0]?.push({ name: "c", end: 0 });
  await pass(SCRUB_LOOK_MS);
  assert.deepEqual(read, ["a", "b", "c"]);
  await pass(1000);
  await pass(SCRUB_EVERY_MS);
  assert.deepEqual(read.slice(3), ["a"]);
  assert.deepEqual(scrub.facts, { files: 4, bytes: 4000, damaged: 0, waiting: 2 });
  await scrub.stop();
});

test("reading is paced by its bytes", async () => {
  const bytes = SCRUB_BYTES_PER_SECOND * 3;
  const { read, pass, scrub } = staged([[A, B]], { a: { kind: "whole", bytes } });
  await pass(SCRUB_LOOK_MS);
  await pass(2999);
  assert.deepEqual(read, ["a"]);
  await pass(1);
  assert.deepEqual(read, ["a", "b"]);
  await scrub.stop();
});

test("a damaged file is told and replaced by every worker that needs it, until it is whole", async () => {
  const { read, replaced, told, pass, answers, scrub } = staged([[B], [A, B]], { b: DAMAGED });
  await pass(SCRUB_LOOK_MS);
  assert.deepEqual(replaced, ["0/b", "1/b"]);
  assert.deepEqual(told, ["/data/b 512 a frame is not there whole"]);
  await pass(1000);
  await pass(1000);
  answers.b = WHOLE;
  await pass(SCRUB_LOOK_MS);
  await pass(1000);
  assert.deepEqual(read, ["b", "a", "b"]);
  assert.equal(replaced.length, 2);
  assert.equal(scrub.facts.damaged, 1);
  await scrub.stop();
});

test("a file that its worker needs no more is no damage, one that it still needs is missing", async () => {
  const files = [[A, B]];
  const answers = {
    a: { kind: "gone" } as const,
    get b() {
      files[0] = [A]; // let go while it was read
      return DAMAGED;
    },
  };
  const { read, replaced, told, pass, scrub } = staged(files, answers);
  await pass(SCRUB_LOOK_MS);
  await pass(1000);
  assert.deepEqual(read, ["a", "b"]);
  assert.deepEqual(replaced, ["0/a"]);
  assert.deepEqual(told, ["/data/a 0 the file is missing"]);
  await scrub.stop();
});

test("a file that cannot be read is said, and is tried again", async () => {
  const { read, replaced, told, pass, scrub } = staged([[A]], { a: new Error("late") });
  await pass(SCRUB_LOOK_MS);
  await pass(1);
  await pass(SCRUB_LOOK_MS);
  assert.deepEqual(read, ["a", "a"]);
  assert.deepEqual([replaced, told], [[], ["Error: late", "Error: late"]]);
  await scrub.stop();
});

test("a stop ends it, whatever it waits for", async () => {
  const { read, pass, scrub, closed } = staged([[A]]);
  await scrub.stop();
  await pass(SCRUB_LOOK_MS);
  assert.deepEqual(read, []);
  assert.equal(closed(), 1);
});
