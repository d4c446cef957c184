/**
 * What `bench:pauses` compares a node with: a process that serves nobody, holds as much memory as it
 * and reads a little of it at random in every turn. Its turns are all alike, so what its longest one
 * takes beyond the others is the machine's: a virtual machine that takes pages away from under a
 * process counts their return as CPU time of the thread that happens to run.
 *
 * Run with turn-probe.ts preloaded: bare-memory.ts MEBIBYTES SECONDS.
 */
import { seeded } from "../runtime/base/prng.ts";

const MEBIBYTE = 1024 * 1024;
const PAGE_BYTES = 4096;
/** Reads in a turn: some 0.1 ms. */
const READS = 1000;

const [mebibytes = Number.NaN, seconds = Number.NaN] = process.argv.slice(2).map(Number);
const random = seeded(1);
const blocks = Array.from({ length: mebibytes }, () => new Uint8Array(MEBIBYTE));
for (const block of blocks) for (let at = 0; at < MEBIBYTE; at += PAGE_BYTES) block[at] = 1;

let sum = 0;
const endMs = performance.now() + seconds * 1000;
function turn(): void {
  for (let i = 0; i < READS; i++) {
    const place = random.u32();
    sum += blocks[place % mebibytes]?.[place >>> 12] ?? 0;
  }
  if (performance.now() < endMs) setImmediate(turn);
  else process.stdout.write(`${sum}\n`);
}
turn();
