/**
 * The cost of reading a command and of writing a reply, per command, in a pipeline of 64.
 * Each case returns a checksum of what it read or wrote, so that no work can be left out.
 */
import { NameTable } from "../runtime/codec/request.ts";
import { PARSED, RespReader } from "../runtime/codec/resp-reader.ts";
import { RespWriter } from "../runtime/codec/resp-writer.ts";

const PIPELINE = 64;
const VALUE = Buffer.alloc(64, "v");
const reader = new RespReader();
const writer = new RespWriter({ bytesMax: 1 << 20 });
const names = new NameTable<number>();
for (const name of ["GET", "SET", "DEL", "INCR", "MGET", "HSET", "LPUSH", "PING", "EXPIRE"]) {
  names.add(name, name.length);
}

function pipeline(command: (key: string) => string): Buffer {
  let text = "";
  for (let i = 0; i < PIPELINE; i++) text += command(`key:${String(i).padStart(12, "0")}`);
  return Buffer.from(text, "latin1");
}

const sets = pipeline((key) => `*3\r\n$3\r\nSET\r\n$16\r\n${key}\r\n$64\r\n${VALUE}\r\n`);
const gets = pipeline((key) => `*2\r\n$3\r\nGET\r\n$16\r\n${key}\r\n`);
const inlines = pipeline(() => "PING\r\n");
const increments = pipeline((key) => `*3\r\n$6\r\nINCRBY\r\n$16\r\n${key}\r\n$6\r\n-12345\r\n`);

function parseAll(input: Buffer, iterations: number): number {
  let sum = 0;
  for (let done = 0; done < iterations; ) {
    for (let at = 0; at < input.length && done < iterations; at = reader.next, done++) {
      if (reader.parse(input, at, input.length) !== PARSED) throw new Error(reader.error);
      const request = reader.request;
      const last = request.count - 1;
      sum = (sum + (request.starts[last] as number) + (request.ends[last] as number)) | 0;
    }
  }
  return sum;
}

/** SET of a 16-byte key and a 64-byte value. */
export function benchRespParseSet(iterations: number): number {
  return parseAll(sets, iterations);
}

/** GET of a 16-byte key. */
export function benchRespParseGet(iterations: number): number {
  return parseAll(gets, iterations);
}

/** PING as redis-benchmark's PING_INLINE sends it. */
export function benchRespParseInline(iterations: number): number {
  return parseAll(inlines, iterations);
}

/** GET in pieces of 100 bytes: what being cut costs. */
export function benchRespParseGetCut(iterations: number): number {
  let sum = 0;
  for (let done = 0; done < iterations; ) {
    let at = 0;
    for (let end = 100; at < gets.length && done < iterations; end += 100) {
      const stop = Math.min(end, gets.length);
      while (at < gets.length && reader.parse(gets, at, stop) === PARSED) {
        at = reader.next;
        sum = (sum + reader.request.count) | 0;
        done++;
      }
    }
    reader.reset();
  }
  return sum;
}

/** INCRBY with its integer read and its name looked up. */
export function benchRespParseInteger(iterations: number): number {
  let sum = 0;
  for (let done = 0; done < iterations; ) {
    for (let at = 0; at < increments.length && done < iterations; at = reader.next, done++) {
      if (reader.parse(increments, at, increments.length) !== PARSED) throw new Error(reader.error);
      if (reader.request.integer(2)) sum = (sum + reader.request.integerLow) | 0;
    }
  }
  return sum;
}

/** Finding a command by its name in the request. */
export function benchRespName(iterations: number): number {
  if (reader.parse(gets, 0, gets.length) !== PARSED) throw new Error(reader.error);
  let sum = 0;
  for (let i = 0; i < iterations; i++) sum += names.find(reader.request, 0) ?? 0;
  return sum;
}

function write(iterations: number, reply: () => void): number {
  let sum = 0;
  for (let done = 0; done < iterations; ) {
    writer.reset();
    for (let i = 0; i < PIPELINE && done < iterations; i++, done++) reply();
    sum = (sum + writer.at + (writer.buffer[writer.at - 3] as number)) | 0;
  }
  return sum;
}

/** A bulk of 64 bytes: the answer to GET. */
export function benchRespWriteBulk(iterations: number): number {
  return write(iterations, () => writer.bulk(VALUE, 0, VALUE.length));
}

/** +OK: the answer to SET. */
export function benchRespWriteOk(iterations: number): number {
  return write(iterations, () => writer.ok());
}

/** An integer of six digits. */
export function benchRespWriteInteger(iterations: number): number {
  return write(iterations, () => writer.integer(123456));
}

/** An array of ten bulks of 64 bytes whose count is known at its end. */
export function benchRespWriteOpenArray(iterations: number): number {
  return write(iterations, () => {
    const mark = writer.openArray();
    for (let i = 0; i < 10; i++) writer.bulk(VALUE, 0, VALUE.length);
    writer.closeArray(mark, 10);
  });
}
