/** Pipelines: what is parsed and looked up together does what it does one by one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { KeyCommand } from "../../../actors/command.ts";
import { CommandTable } from "../../../actors/command-table.ts";
import type { Connection } from "../../../actors/gateway/connection.ts";
import {
  KEY_AHEAD_BYTES_MAX,
  PARSED_AHEAD_BYTES_MAX,
  Pipelines,
} from "../../../actors/gateway/pipelines.ts";
import type { Vnode } from "../../../actors/vnode/vnode.ts";
import { vnodeId } from "../../../actors/vnode/vnode-id.ts";
import { below, type Random, seeded } from "../../../runtime/base/prng.ts";
import { Pipeline } from "../../../runtime/codec/pipeline.ts";
import type { Request } from "../../../runtime/codec/request.ts";
import {
  FAILED,
  PARSED,
  type RespLimits,
  RespReader,
  respLimits,
} from "../../../runtime/codec/resp-reader.ts";
import { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { slotOf } from "../../../runtime/ring/slots.ts";
import { KEYS_AHEAD_MAX, KeysAhead } from "../../../runtime/table/keys-ahead.ts";
import type { MemoryTable } from "../../../runtime/table/memory-table.ts";
import { encodeCommand } from "../../support/resp.ts";
import { TestPartitions } from "../../support/test-partitions.ts";

function pipelinesOf({ pool, executor, vnodes }: TestPartitions): Pipelines {
  const findVnode = (keyspace: number, partition: number) => {
    return vnodes.get(vnodeId(keyspace, partition));
  };
  return new Pipelines({ pool, executor, findVnode });
}

/** The commands that lie in these bytes, parsed. */
function pipelineOf(bytes: Buffer): Pipeline {
  const reader = new RespReader();
  const pipeline = new Pipeline(KEYS_AHEAD_MAX);
  assert.equal(reader.parse(bytes, 0, bytes.length), PARSED);
  pipeline.fill(reader, bytes, bytes.length);
  return pipeline;
}

/** Looks ahead at the commands that lie in these bytes. */
function lookAt(pipelines: Pipelines, bytes: Buffer): void {
  pipelines.look(pipelineOf(bytes), bytes, 0);
}

/** A connection of which only the input is looked at. */
class Input {
  readonly client = { keyspace: 0 };
  readonly reader: RespReader;
  readonly #execute: (request: Request) => void;
  /** Commands that may run before a stop. */
  #left = Number.POSITIVE_INFINITY;

  constructor(execute: (request: Request) => void, limits: Partial<RespLimits> = {}) {
    this.#execute = execute;
    this.reader = new RespReader(limits);
  }

  execute(request: Request): void {
    this.#execute(request);
  }

  mayRun(): boolean {
    return this.#left-- > 0;
  }

  /** Runs what buffer[at, end) holds, `left` commands at most; returns where the rest begins. */
  run(pipelines: Pipelines, buffer: Buffer, at: number, end: number, left = end): number {
    this.#left = left;
    let next = at;
    while (next < end && this.mayRun()) {
      if (this.reader.parse(buffer, next, end) !== PARSED) break;
      next = pipelines.run(this as unknown as Connection, buffer, end);
    }
    return next;
  }
}

function vnodeOfKey(
  { executor, vnodes }: TestPartitions,
  bytes: Buffer,
  start: number,
  end: number,
): Vnode {
  return vnodes.get(vnodeId(0, executor.partitionOf(0, bytes, start, end))) as Vnode;
}

/** Runs every command by itself. Returns what was replied. */
function runEach(partitions: TestPartitions, bytes: Buffer): unknown[] {
  const reader = new RespReader();
  const replies: unknown[] = [];
  for (let at = 0; at < bytes.length; at = reader.next) {
    assert.equal(reader.parse(bytes, at, bytes.length), PARSED);
    replies.push(partitions.runParsed(reader.request));
  }
  return replies;
}

/** Runs them as they come in pieces, stopped now and then. Returns what was replied. */
function runPieces(partitions: TestPartitions, bytes: Buffer, random: Random): unknown[] {
  const pipelines = pipelinesOf(partitions);
  const replies: unknown[] = [];
  const input = new Input((request) => void replies.push(partitions.runParsed(request)));
  for (let at = 0, end = 0; at < bytes.length; ) {
    end = Math.min(bytes.length, end + below(random, 900));
    pipelines.forget();
    at = input.run(pipelines, bytes, at, end, below(random, 30));
  }
  return replies;
}

/** Few keys, so that commands meet; values of many lengths, so that records move. */
function someCommand(random: Random): string[] {
  const isLong = below(random, 20) === 0;
  const key = `k${below(random, 12)}${isLong ? "-".repeat(KEY_AHEAD_BYTES_MAX) : ""}`;
  const value = "v".repeat(below(random, 90));
  const commands = [
    ["SET", key, value],
    ["SET", key, value],
    ["GET", key],
    ["GET", key],
    ["APPEND", key, value],
    ["DEL", key],
    ["GETDEL", key],
    ["RENAME", key, `k${below(random, 12)}`],
    ["PEXPIRE", key, String(below(random, 3) - 1)],
    ["HSET", key, "f", value],
    ["TYPE", key],
    ["OBJECT", "ENCODING", key],
    ["MSET", key, value, `k${below(random, 12)}`, value],
    ["ECHO", key],
  ];
  return commands[below(random, commands.length)] as string[];
}

test("a pipeline does and replies the same, however it comes and is stopped", () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = seeded(seed);
      const commands = Array.from({ length: 120 }, () => someCommand(random));
      const bytes = Buffer.concat(commands.map(encodeCommand));
      const [plain, pieces] = [new TestPartitions(), new TestPartitions()];

      const expected = runEach(plain, bytes);
      const replies = runPieces(pieces, bytes, random);

      assert.deepEqual(replies, expected);
      assert.deepEqual(pieces.ops, plain.ops);
    }),
  );
});

test("what comes behind a change of the reader's limits is read under the new ones", () => {
  const pipelines = pipelinesOf(new TestPartitions());
  const narrow = { ...respLimits, argsMax: 2 };
  const bytes = encodeCommand(["WIDEN"]);
  const wide = Buffer.concat([bytes, encodeCommand(["A", "1", "2"]), encodeCommand(["NARROW"])]);
  const all = Buffer.concat([wide, encodeCommand(["B", "1", "2"])]);
  for (const end of [all.length, all.length - 8]) {
    const ran: string[] = [];
    const input: Input = new Input((request) => {
      const name = request.text(0);
      ran.push(name);
      if (name === "WIDEN") input.reader.setLimits(respLimits);
      if (name === "NARROW") input.reader.setLimits(narrow);
    }, narrow);
    assert.equal(input.run(pipelines, all, 0, end), wide.length);
    assert.deepEqual(ran, ["WIDEN", "A", "NARROW"]);
    assert.equal(input.reader.parse(all, wide.length, end), FAILED);
  }
});

test("limits that change once a pipeline has run are those of what lies behind it", () => {
  const pipelines = pipelinesOf(new TestPartitions());
  const narrow = { ...respLimits, argsMax: 2 };
  const first = encodeCommand(["HELD"]);
  const all = Buffer.concat([first, encodeCommand(["A", "1", "2"])]);
  const cut = all.length - 8;
  for (const [before, end, after, outcome] of [
    [narrow, all.length, respLimits, PARSED],
    [narrow, cut, respLimits, PARSED],
    [respLimits, cut, narrow, FAILED],
  ] as const) {
    const input = new Input(() => {}, before);
    const next = input.run(pipelines, all, 0, end, 1);
    assert.equal(next, first.length);
    input.reader.setLimits(after);
    assert.equal(input.reader.parse(all, next, all.length), outcome);
  }
});

test("commands before a protocol error run, also after a stop, and then it is found", () => {
  const pipelines = pipelinesOf(new TestPartitions());
  const commands = ["A", "B", "C", "D"].map((name) => encodeCommand([name]));
  const bytes = Buffer.concat([...commands, Buffer.from("*1\r\n!\r\n")]);
  const ran: string[] = [];
  const input = new Input((request) => void ran.push(request.text(0)));
  const next = input.run(pipelines, bytes, 0, bytes.length, 2);
  assert.deepEqual(ran, ["A", "B"]);
  assert.equal(input.run(pipelines, bytes, next, bytes.length), bytes.indexOf("*1\r\n!"));
  assert.deepEqual(ran, ["A", "B", "C", "D"]);
  assert.match(input.reader.error, /expected '\$', got '!'/);
});

test("a large command behind others is not parsed as often as they are stopped", (context) => {
  const pipelines = pipelinesOf(new TestPartitions());
  const large = ["LARGE", ...Array<string>(PARSED_AHEAD_BYTES_MAX / 8).fill("12")];
  const commands = [["A"], ["B"], ["C"], large, ["D"]].map((words) => encodeCommand(words));
  const bytes = Buffer.concat(commands);
  const ran: string[] = [];
  const input = new Input((request) => void ran.push(`${request.text(0)} ${request.count}`));
  const parse = context.mock.method(input.reader, "parse");
  let at = 0;
  for (const name of ["A", "B", "C"]) {
    at = input.run(pipelines, bytes, at, bytes.length, 1);
    assert.equal(ran.at(-1), `${name} 1`);
    const last = parse.mock.calls.at(-1)?.arguments;
    assert.ok((last?.[2] ?? bytes.length) <= at + PARSED_AHEAD_BYTES_MAX);
  }
  input.run(pipelines, bytes, at, bytes.length);
  assert.deepEqual(ran.slice(3), [`LARGE ${large.length}`, "D 1"]);
});

test("a command may let another connection go on", () => {
  const pipelines = pipelinesOf(new TestPartitions());
  const ran: string[] = [];
  const others = Buffer.concat(["X", "Y", "Z"].map((name) => encodeCommand([name, "longer"])));
  const other = new Input((request) => void ran.push(request.text(0)));
  const bytes = Buffer.concat(["A", "B", "C"].map((name) => encodeCommand([name])));
  const input = new Input((request) => {
    ran.push(request.text(0));
    if (request.text(0) === "A") other.run(pipelines, others, 0, others.length);
  });
  input.run(pipelines, bytes, 0, bytes.length);
  assert.deepEqual(ran, ["A", "X", "Y", "Z", "B", "C"]);
});

test("the bytes of commands that have run are not held on to", () => {
  const requests: Request[] = [];
  const input = new Input((request) => void requests.push(request));
  const bytes = Buffer.concat(["A", "B", "C"].map((name) => encodeCommand([name])));
  input.run(pipelinesOf(new TestPartitions()), bytes, 0, bytes.length, 2);
  assert.equal(requests.length, 2);
  assert.ok(requests.every((request) => request.bytes !== bytes));
});

test("the keys of the next commands are found, and recalled in their order", () => {
  const partitions = new TestPartitions();
  const names = Array.from({ length: KEYS_AHEAD_MAX + 3 }, (_, i) => `key:${i}`);
  for (const name of names) partitions.run("SET", name, name);
  const bytes = Buffer.concat(names.map((name) => encodeCommand(["GET", name])));
  const keys = KeysAhead.of(partitions.pool);
  const found: boolean[] = [];
  const input = new Input(({ starts, ends, slotAhead }) => {
    const [start, end] = [starts[1] as number, ends[1] as number];
    const { table } = vnodeOfKey(partitions, bytes, start, end).partition;
    const ref = keys.recall(table.keys, bytes, start, end);
    found.push(ref !== 0);
    if (ref === 0) return;
    assert.equal(slotAhead, slotOf(bytes, start, end));
    assert.equal(keys.hash, table.hashOf(bytes, start, end));
    assert.equal(table.find(bytes, start, end), ref);
  });
  const pipelines = pipelinesOf(partitions);
  for (let time = 0; time < 2; time++) {
    input.run(pipelines, bytes, 0, bytes.length, KEYS_AHEAD_MAX + 2);
    assert.deepEqual(found.splice(0), Array(KEYS_AHEAD_MAX + 2).fill(true));
    input.reader.reset();
  }
});

test("what was found is not recalled for other bytes, elsewhere, or after a change", () => {
  const partitions = new TestPartitions();
  partitions.run("SET", "{t}a", "1");
  partitions.run("SET", "{t}b", "2");
  const bytes = encodeCommand(["GET", "{t}a"]);
  const start = bytes.indexOf("{t}a");
  const end = start + 4;
  const { table } = vnodeOfKey(partitions, bytes, start, end).partition;
  const keys = KeysAhead.of(partitions.pool);
  const pipelines = pipelinesOf(partitions);
  const recall = (source = bytes) => keys.recall(table.keys, source, start, end);

  lookAt(pipelines, bytes);
  assert.notEqual(recall(), 0);
  assert.equal(recall(Buffer.from(bytes.toString().replace("{t}a", "{t}b"))), 0);
  partitions.run("SET", "{t}b", "longer, so that its record moves");
  assert.equal(recall(), 0);

  lookAt(pipelines, bytes);
  assert.notEqual(recall(), 0);
  partitions.run("DEL", "{t}b");
  assert.equal(recall(), 0);

  lookAt(pipelines, bytes);
  partitions.run("SET", "{t}c", "new");
  assert.equal(recall(), 0);

  lookAt(pipelines, bytes);
  assert.notEqual(recall(), 0);
  pipelines.forget();
  assert.equal(recall(), 0);

  lookAt(pipelines, bytes);
  table.reset();
  assert.equal(recall(), 0);
});

test("what was found in one keyspace is not recalled in another", () => {
  const partitions = new TestPartitions();
  partitions.run("SET", "key", "in the first");
  const reader = new RespReader();
  const bytes = encodeCommand(["SET", "key", "in the second"]);
  reader.parse(bytes, 0, bytes.length);
  const { command } = new CommandTable().find(reader.request) as { command: KeyCommand };
  const [start, end] = [reader.request.starts[1] as number, reader.request.ends[1] as number];
  const { executor } = partitions;
  const partition = executor.partitionOf(1, bytes, start, end);
  executor.runOnKey(command, 1, partition, reader.request, new RespWriter({ bytesMax: 1024 }));
  const [first, second] = [0, 1].map((keyspace) => {
    return partitions.vnodeOf(vnodeId(keyspace, partition)).table;
  }) as [MemoryTable, MemoryTable];
  assert.equal(first.keys.changes, second.keys.changes);

  lookAt(pipelinesOf(partitions), bytes);

  const found = second.find(bytes, start, end);
  assert.equal(second.records.valueLength(found), "in the second".length);
});

test("what is not served, has no argument, or lies elsewhere is looked past", () => {
  const partitions = new TestPartitions();
  const commands = [encodeCommand(["GET", "served by nobody"]), encodeCommand(["PING"])];
  const bytes = Buffer.concat([...commands, Buffer.from('GET "quoted"\r\n')]);
  const pipeline = pipelineOf(bytes);
  assert.equal(pipeline.count, 3);
  pipelinesOf(partitions).look(pipeline, bytes, 0);
  const slots = [0, 1, 2].map((i) => pipeline.at(i).slotAhead);
  assert.deepEqual(slots, [slotOf(Buffer.from("served by nobody"), 0, 16), -1, -1]);
});

test("an argument that is long for a key is not looked up, and the next one is", () => {
  const partitions = new TestPartitions();
  const long = "k".repeat(KEY_AHEAD_BYTES_MAX + 1);
  for (const name of [long, "short"]) partitions.run("SET", name, "v");
  const commands = [long, "short"].map((name) => encodeCommand(["GET", name]));
  const bytes = Buffer.concat(commands);
  const keys = KeysAhead.of(partitions.pool);

  lookAt(pipelinesOf(partitions), bytes);

  for (const name of [long, "short"]) {
    const start = bytes.indexOf(name);
    const { table } = vnodeOfKey(partitions, bytes, start, start + name.length).partition;
    const isFound = keys.recall(table.keys, bytes, start, start + name.length) !== 0;
    assert.equal(isFound, name === "short");
  }
});
