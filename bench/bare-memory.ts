/**
 * What `bench:pauses` compares a node with: a process that serves nobody, takes as much memory as it, a
 * little in every turn, and then reads a little of it at random in every turn. Its turns are all
 * alike, so what its longest one takes beyond the others is the machine's: a virtual machine that
 * takes pages away from under a process, or gives them back to its host when they are freed, counts
 * their return as CPU time of the thread that happens to run.
 *
 * Run with turn-probe.ts preloaded: bare-memory.ts MEBIBYTES SECONDS.
 */
import { seeded } from "../runtime/base/prng.ts";

const MEBIBYTE = 1024 * 1024;
const PAGE_BYTES = 4096;
/** Reads in a turn: some 0.1 ms. */
const READS = 1000;
/** Bytes taken in a turn: some 0.1 ms. */
const TAKEN_BYTES = 64 * PAGE_BYTES;

const [mebibytes = Number.NaN, seconds = Number.NaN] = process.argv.slice(2).map(Number);
const random = seeded(1);
const blocks: Uint8Array[] = [];
let taken = MEBIBYTE;

/** False: all is taken. */
function take(): boolean {
  if (taken === MEBIBYTE) {
    if (blocks.length === mebibytes) return false;
    blocks.push(new Uint8Array(MEBIBYTE));
    taken = 0;
  }
  const block = blocks.at(-1) as Uint8Array;
  const end = taken + TAKEN_BYTES;
  for (; taken < end; taken += PAGE_BYTES) block[taken] = 1;
  return true;
}

let sum = 0;
const endMs = performance.now() + seconds * 1000;
function turn(): void {
  if (take()) {
    setImmediate(turn);
    return;
  }
  for (let i = 0; i < READS; i++) {
    const place = random.u32();
    sum += blocks[place % mebibytes]?.[place >>> 12] ?? 0;
  }
  if (performance.now() < endMs) setImmediate(turn);
  else process.stdout.write(`${sum}\n`);
}
turn();
