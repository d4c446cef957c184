/** Calls of an embedded client: order, windows, lost handles, deadlines, the end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { HandleEvents, HandleSource } from "../../../actors/supervisor/handles.ts";
import {
  CALLS_SENT_BYTES_MAX,
  CALLS_WAITING_BYTES_MAX,
  CallQueue,
} from "../../../client/call-queue.ts";
import { encodeCommand } from "../../../client/command.ts";
import { asText, type Reply } from "../../../client/replies.ts";
import { ManualClock } from "../../../runtime/base/clock.ts";
import { CoterieError } from "../../../runtime/base/errors.ts";

const TIMEOUT_MS = 8_000;

/** A node that the test plays: handles, what was sent on each, and the replies. */
class Node implements HandleSource {
  isStopped = false;
  isServing = true;
  hasRoom = true;
  /** Commands sent on the handle that is open. */
  sent: string[] = [];
  opened = 0;
  closed = 0;
  events: HandleEvents | undefined;
  #ready: (() => void)[] = [];

  open(events: HandleEvents) {
    if (!this.isServing) return undefined;
    this.events = events;
    this.sent = [];
    this.opened++;
    return {
      send: (commands: readonly Buffer[]) => {
        if (this.hasRoom) this.sent.push(...commands.map(String));
        return this.hasRoom;
      },
      close: () => {
        this.closed++;
      },
    };
  }

  whenReady(run: () => void): void {
    this.#ready.push(run);
  }

  becomeReady(): void {
    this.isServing = true;
    for (const run of this.#ready.splice(0)) run();
  }

  reply(text: string): void {
    const bytes = Buffer.from(text, "latin1");
    this.events?.received(bytes, 0, bytes.length);
  }
}

function staged(preamble: readonly Buffer[] = []) {
  const node = new Node();
  const clock = new ManualClock();
  const queue = new CallQueue<string>({
    handles: node,
    clock,
    timers: clock,
    decode: asText,
    timeoutMs: TIMEOUT_MS,
    preamble,
  });
  const call = (...words: [string, ...string[]]) => queue.call(encodeCommand(words));
  return { node, clock, queue, call };
}

/** Runs what waits for the end of the turn. */
function turn(): Promise<void> {
  return new Promise((done) => setImmediate(done));
}

function codeOf(reply: Reply<string>): string {
  return reply instanceof CoterieError ? reply.code : `no error: ${String(reply)}`;
}

test("calls of one turn go together, and replies come to them in order", async () => {
  const { node, call } = staged();
  const calls = [call("A"), call("B"), call("C")];
  assert.equal(node.opened, 0);
  await turn();
  assert.equal(node.sent.join(""), "*1\r\n$1\r\nA\r\n*1\r\n$1\r\nB\r\n*1\r\n$1\r\nC\r\n");
  node.reply("+a\r\n");
  node.reply("-ERR b\r\n:3\r\n");
  const [a, b, c] = await Promise.all(calls);
  assert.deepEqual([a, codeOf(b as CoterieError), c], ["a", "COMMAND_FAILED", 3]);
});

test("no more than a window is sent, and the rest follows the replies", async () => {
  const { node, queue } = staged();
  const bytes = encodeCommand(["SET", "k", "x".repeat(CALLS_SENT_BYTES_MAX / 2)]);
  const calls = [1, 2, 3, 4].map(() => queue.call(bytes));
  await turn();
  assert.equal(node.sent.length, 2);
  node.reply("+1\r\n+2\r\n");
  await turn();
  assert.equal(node.sent.length, 4);
  node.reply("+3\r\n+4\r\n");
  assert.deepEqual(await Promise.all(calls), ["1", "2", "3", "4"]);
});

test("past a bound of waiting bytes a call is refused, before it is sent", async () => {
  const { node, queue, call } = staged();
  node.isServing = false;
  const large = queue.call(Buffer.alloc(CALLS_WAITING_BYTES_MAX));
  const refused = await call("PING");
  assert.equal(codeOf(refused), "OVERLOADED");
  node.becomeReady();
  node.reply("+done\r\n");
  assert.equal(await large, "done");
});

test("what was sent on a lost handle is unknown; what waited goes to another worker", async () => {
  const { node, call } = staged([encodeCommand(["SELECT", 3])]);
  const sent = call("INCR", "k");
  await turn();
  node.hasRoom = false;
  const waiting = call("GET", "k");
  await turn();
  node.hasRoom = true;
  node.events?.closed(new CoterieError("WORKER_DOWN", "worker 0 ended"));
  const lost = await sent;
  assert.equal(codeOf(lost), "UNKNOWN_OUTCOME");
  assert.match(String(lost), /worker 0 ended before it answered: .* may or may not/);
  await turn();
  assert.equal(node.opened, 2);
  assert.match(node.sent[0] ?? "", /SELECT/);
  node.reply("+OK\r\n$1\r\n1\r\n");
  assert.equal(await waiting, "1");
});

test("what goes together is refused as one, and answered as one", async () => {
  const { node, queue, call } = staged();
  node.isServing = false;
  const large = queue.call(Buffer.alloc(CALLS_WAITING_BYTES_MAX - 20));
  const words = [["A"], ["B"]].map((command) => encodeCommand(command));
  const refused = await queue.together(words);
  assert.equal(codeOf(refused as CoterieError), "OVERLOADED");
  node.becomeReady();
  await turn();
  node.sent.length = 0;
  const both = queue.together(words);
  const after = call("C");
  await turn();
  assert.deepEqual(node.sent, []);
  node.reply("+large\r\n");
  assert.equal(await large, "large");
  await turn();
  assert.equal(node.sent.join(""), "*1\r\n$1\r\nA\r\n*1\r\n$1\r\nB\r\n*1\r\n$1\r\nC\r\n");
  node.reply("+a\r\n-ERR b\r\n+c\r\n");
  const [a, b] = (await both) as Reply<string>[];
  assert.deepEqual([a, codeOf(b as CoterieError), await after], ["a", "COMMAND_FAILED", "c"]);
});

test("what goes together goes over no second handle, and keeps its place when it is given up", async () => {
  const { node, clock, queue, call } = staged();
  const half = encodeCommand(["SET", "k", "x".repeat(CALLS_SENT_BYTES_MAX / 2)]);
  const lost = queue.together([half, half, half]);
  await turn();
  node.events?.closed(new CoterieError("WORKER_DOWN", "worker 0 ended"));
  assert.equal(codeOf((await lost) as CoterieError), "UNKNOWN_OUTCOME");
  node.sent.length = 0;
  const late = queue.together([encodeCommand(["A"]), encodeCommand(["B"])]);
  await turn();
  assert.equal(node.sent.join(""), "*1\r\n$1\r\nA\r\n*1\r\n$1\r\nB\r\n");
  clock.advance(TIMEOUT_MS * 2);
  assert.equal(codeOf((await late) as CoterieError), "TIMEOUT");
  const next = call("C");
  await turn();
  node.reply("+a\r\n+b\r\n+c\r\n");
  assert.equal(await next, "c");
});

test("a full port holds calls back until it has room", async () => {
  const { node, call } = staged();
  node.hasRoom = false;
  const calls = [call("A"), call("B")];
  await turn();
  node.hasRoom = true;
  node.events?.writable();
  assert.equal(node.sent.length, 2);
  node.reply("+a\r\n+b\r\n");
  assert.deepEqual(await Promise.all(calls), ["a", "b"]);
});

test("what a new handle begins with waits for room as well, and goes first", async () => {
  const { node, call } = staged([encodeCommand(["SELECT", 3])]);
  node.hasRoom = false;
  const called = call("A");
  await turn();
  node.hasRoom = true;
  node.events?.writable();
  assert.deepEqual(node.sent, ["*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n", "*1\r\n$1\r\nA\r\n"]);
  assert.equal(node.opened, 1);
  node.reply("+OK\r\n+a\r\n");
  assert.equal(await called, "a");
  const next = call("B");
  await turn();
  assert.deepEqual(node.sent.slice(2), ["*1\r\n$1\r\nB\r\n"]);
  node.reply("+b\r\n");
  assert.equal(await next, "b");
});

test("what a new handle begins with is sent again behind RESET, and its reply is nobody's", async () => {
  const { node, queue, call } = staged([encodeCommand(["SELECT", 3])]);
  const reset = queue.reset(encodeCommand(["RESET"]));
  const behind = call("A");
  await turn();
  const select = "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n";
  assert.equal(node.sent.join(""), `${select}*1\r\n$5\r\nRESET\r\n${select}*1\r\n$1\r\nA\r\n`);
  node.reply("+OK\r\n+RESET\r\n+OK\r\n+a\r\n");
  assert.deepEqual(await Promise.all([reset, behind]), ["RESET", "a"]);
});

test("RESET of a client without such commands goes alone", async () => {
  const { node, queue } = staged();
  const reset = queue.reset(encodeCommand(["RESET"]));
  await turn();
  assert.deepEqual(node.sent, ["*1\r\n$5\r\nRESET\r\n"]);
  node.reply("+RESET\r\n");
  assert.equal(await reset, "RESET");
});

test("without a worker a call waits, and is not executed if it waits too long", async () => {
  const { node, clock, call } = staged();
  node.isServing = false;
  const late = call("A");
  await turn();
  clock.advance(TIMEOUT_MS - 1);
  const early = call("B");
  clock.advance(TIMEOUT_MS / 4);
  const error = await late;
  assert.equal(codeOf(error), "OVERLOADED");
  assert.match(String(error), /it was not executed/);
  node.becomeReady();
  assert.deepEqual(node.sent, ["*1\r\n$1\r\nB\r\n"]);
  node.reply("+b\r\n");
  assert.equal(await early, "b");
});

test("a call without a reply in time is unknown, and its late reply is nobody else's", async () => {
  const { node, clock, call } = staged();
  const slow = call("A");
  await turn();
  clock.advance(TIMEOUT_MS * 1.25);
  assert.equal(codeOf(await slow), "TIMEOUT");
  const next = call("B");
  await turn();
  node.reply("+late a\r\n+b\r\n");
  assert.equal(await next, "b");
});

test("a closed client finishes what was called, then closes its handle", async () => {
  const { node, queue, call } = staged();
  const before = call("A");
  const closed = queue.close();
  assert.equal(codeOf(await call("B")), "WORKER_DOWN");
  await turn();
  assert.equal(node.closed, 0);
  node.reply("+a\r\n");
  assert.equal(await before, "a");
  await closed;
  assert.equal(node.closed, 1);
});

test("a closed client does not wait for a reply that came too late for its call", async () => {
  const { node, clock, queue, call } = staged();
  const slow = call("A");
  await turn();
  const closed = queue.close();
  clock.advance(TIMEOUT_MS * 1.25);
  assert.equal(codeOf(await slow), "TIMEOUT");
  await closed;
  assert.equal(node.closed, 1);
});

test("calls on a stopped node fail at once, and those that waited were not executed", async () => {
  const { node, call } = staged();
  node.isServing = false;
  const waiting = call("A");
  await turn();
  node.isStopped = true;
  node.becomeReady();
  assert.match(String(await waiting), /the node has stopped/);
  assert.equal(codeOf(await call("B")), "WORKER_DOWN");
});
