/** One connection over a fake transport: order, gates, limits on what waits, and its ends. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { HELD_INPUT_BYTES, type ReplySlot } from "../../../actors/gateway/connection.ts";
import {
  deferring,
  echo,
  FakeConnection,
  stuckWithReplies,
} from "../../support/fake-connection.ts";

test("a pipeline is answered in order, in one write at the end of the turn", () => {
  const fake = new FakeConnection();
  fake.receive("A\r\nB\r\nC\r\n");
  assert.equal(fake.sent(), "");
  fake.turn();
  assert.equal(fake.sent(), "+A\r\n+B\r\n+C\r\n");
});

test("a command that comes byte by byte runs once, whatever becomes of the read buffer", () => {
  const fake = new FakeConnection();
  const texts: string[] = [];
  fake.answer = (connection, request) => {
    texts.push(request.text(1));
    echo()(connection, request);
  };
  for (const byte of "*2\r\n$3\r\nGET\r\n$5\r\nhello\r\n") fake.feed(byte);
  assert.deepEqual(fake.ran, ["GET"]);
  assert.deepEqual(texts, ["hello"]);
});

test("a late reply holds back those behind it", () => {
  const fake = new FakeConnection();
  const slots = deferring(fake, ["LATE"]);
  assert.equal(fake.feed("A\r\nLATE\r\nB\r\nLATE\r\nC\r\n"), "+A\r\n");
  fake.connection.fill(slots[1] as ReplySlot, Buffer.from("+second\r\n"), 0);
  fake.turn();
  assert.equal(fake.sent(), "");
  fake.connection.fill(slots[0] as ReplySlot, Buffer.from("+first\r\n"), 0);
  fake.turn();
  assert.equal(fake.sent(), "+first\r\n+B\r\n+second\r\n+C\r\n");
});

test("a gated reply leaves when its commit is durable, with those behind it", () => {
  const fake = new FakeConnection();
  fake.answer = (connection, request) => echo(Number(request.text(1)))(connection, request);
  assert.equal(fake.feed("A 0\r\nB 3\r\nC 0\r\nD 5\r\nE 4\r\n"), "+A\r\n");
  fake.openThrough = 3;
  fake.connection.flush();
  assert.equal(fake.sent(), "+B\r\n+C\r\n");
  assert.equal(fake.connection.isGated, true);
  fake.openThrough = 4;
  fake.connection.flush();
  assert.equal(fake.sent(), "");
  fake.openThrough = 5;
  fake.connection.flush();
  assert.equal(fake.sent(), "+D\r\n+E\r\n");
});

test("a gated late reply waits for its commit in its place", () => {
  const fake = new FakeConnection();
  const slots = deferring(fake, ["LATE"]);
  fake.feed("LATE\r\nB\r\n");
  fake.connection.fill(slots[0] as ReplySlot, Buffer.from("+late\r\n"), 9);
  fake.turn();
  assert.equal(fake.sent(), "");
  fake.openThrough = 9;
  fake.connection.flush();
  assert.equal(fake.sent(), "+late\r\n+B\r\n");
});

test("a reply that is not wanted leaves no gate behind", () => {
  const fake = new FakeConnection();
  fake.answer = (connection, request) => {
    if (request.text(0) !== "MUTE") return echo()(connection, request);
    const reply = connection.reply();
    reply.ok();
    connection.rewindReply(reply);
    connection.endReply(reply, 7);
  };
  assert.equal(fake.feed("A\r\nMUTE\r\nB\r\n"), "+A\r\n+B\r\n");
  assert.equal(fake.connection.isGated, false);
});

test("a late reply that is not wanted holds its place and says nothing", () => {
  const fake = new FakeConnection();
  let slot: ReplySlot | undefined;
  fake.answer = (connection, request) => {
    if (request.text(0) === "LATE") slot = connection.defer(4, true);
    else echo()(connection, request);
  };
  fake.feed("LATE\r\nB\r\n");
  fake.connection.fill(slot as ReplySlot, Buffer.from("+late\r\n"), 0);
  fake.turn();
  assert.equal(fake.sent(), "+B\r\n");
});

test("a client that does not read is not read from, until it has read", () => {
  const fake = stuckWithReplies(1000);
  fake.feed("A\r\n".repeat(100));
  assert.equal(fake.transport.isPaused, true);
  const { length } = fake.ran;
  assert.ok(length < 10, `${length} commands ran`);
  fake.feed("B\r\n");
  assert.equal(fake.ran.length, length);
  fake.drain();
  assert.deepEqual(fake.ran, [...Array.from({ length: 100 }, () => "A"), "B"]);
  assert.equal(fake.transport.isPaused, false);
  assert.equal(fake.transport.end, "open");
});

test("requests under way count as output: one client cannot have any number", () => {
  const fake = new FakeConnection();
  const slots = deferring(fake, ["LATE"]);
  fake.feed("LATE\r\n".repeat(100));
  assert.ok(slots.length < 10, `${slots.length} under way`);
  for (let i = 0; i < slots.length; i++) {
    fake.connection.fill(slots[i] as ReplySlot, Buffer.from("+OK\r\n"), 0);
    fake.turn();
  }
  assert.equal(slots.length, 100);
  assert.equal(fake.sent(), "+OK\r\n".repeat(100));
});

test("before authentication next to nothing waits", () => {
  const fake = new FakeConnection({}, false);
  fake.transport.takes = false;
  fake.feed(`${"A".repeat(200)}\r\n`.repeat(50));
  assert.ok(fake.ran.length <= 6, `${fake.ran.length} commands ran`);
  assert.equal(fake.transport.isPaused, true);
});

test("after a half-close everything that was asked is answered, then the connection ends", () => {
  const fake = new FakeConnection();
  const slots = deferring(fake, ["LATE"]);
  fake.receive("A\r\nLATE\r\nB\r\n");
  fake.connection.ended();
  fake.turn();
  assert.equal(fake.sent(), "+A\r\n");
  assert.equal(fake.transport.end, "open");
  fake.connection.fill(slots[0] as ReplySlot, Buffer.from("+late\r\n"), 0);
  fake.turn();
  assert.equal(fake.sent(), "+late\r\n+B\r\n");
  assert.equal(fake.transport.end, "closed");
  assert.equal(fake.closedCount, 1);
});

test("a half-close does not cut off commands that wait", () => {
  const fake = new FakeConnection();
  fake.answer = (connection, request) => {
    if (request.text(0) === "BLOCK") connection.block();
    echo()(connection, request);
  };
  fake.feed("BLOCK\r\nB\r\nC\r\n");
  fake.connection.ended();
  fake.turn();
  assert.equal(fake.transport.end, "open");
  fake.connection.unblock();
  fake.turn();
  assert.deepEqual(fake.ran, ["BLOCK", "B", "C"]);
  assert.equal(fake.sent(), "+B\r\n+C\r\n");
  assert.equal(fake.transport.end, "closed");
});

test("a half-close does not cut off a pipeline whose replies are not read yet", () => {
  const fake = stuckWithReplies(1000);
  fake.feed("A\r\n".repeat(50));
  fake.connection.ended();
  fake.drain();
  assert.equal(fake.ran.length, 50);
  assert.equal(fake.transport.end, "closed");
});

test("a blocked connection stops reading before it holds too much", () => {
  const fake = new FakeConnection();
  fake.answer = (connection) => connection.block();
  fake.feed("BLOCK\r\n");
  for (let i = 0; i < 300; i++) fake.feed(`${"x".repeat(1021)} y\r\n`);
  assert.equal(fake.transport.isPaused, true);
  fake.answer = echo();
  fake.connection.unblock();
  fake.turn();
  assert.equal(fake.ran.length, 301);
  assert.equal(fake.transport.isPaused, false);
});

test("a protocol error is answered behind the replies before it, then the connection ends", () => {
  const fake = new FakeConnection();
  const sent = fake.feed("A\r\n*1\r\nfoo\r\nB\r\n");
  assert.equal(sent, "+A\r\n-ERR Protocol error: expected '$', got 'f'\r\n");
  assert.equal(fake.transport.end, "closed");
  assert.deepEqual(fake.ran, ["A"]);

  const muted = new FakeConnection();
  muted.isMuted = true;
  assert.equal(muted.feed("*1\r\nfoo\r\n"), "");
  assert.equal(muted.transport.end, "closed");
});

test("an HTTP request ends the connection without a word, and nothing behind it runs", () => {
  const fake = new FakeConnection();
  assert.equal(fake.feed("POST / HTTP/1.1\r\nHost: x\r\n\r\nSET a 1\r\n"), "");
  assert.equal(fake.transport.end, "destroyed");
  assert.deepEqual(fake.ran, []);
});

test("a request larger than the query limit ends the connection", () => {
  const fake = new FakeConnection({ queryBytesMax: 1000, argumentBytesMax: 10_000 });
  fake.feed("*1\r\n$5000\r\n");
  fake.feed("x".repeat(500));
  assert.equal(fake.transport.end, "open");
  fake.feed("x".repeat(600));
  assert.equal(fake.transport.end, "destroyed");
});

test("nothing is sent or run after the end", () => {
  const fake = new FakeConnection();
  const slots = deferring(fake, ["LATE"]);
  fake.feed("LATE\r\n");
  fake.connection.destroy();
  fake.connection.fill(slots[0] as ReplySlot, Buffer.from("+late\r\n"), 0);
  fake.feed("A\r\n");
  assert.equal(fake.sent(), "");
  assert.deepEqual(fake.ran, ["LATE"]);
  assert.equal(fake.closedCount, 1);
});

test("a late connection keeps what it receives, reads on to a bound, and goes on in order", () => {
  const fake = new FakeConnection();
  fake.time = 1;
  assert.equal(fake.feed("A\r\nB\r\n"), "+A\r\n");
  fake.time = 10;
  assert.equal(fake.feed("C\r\n"), "");
  fake.receive(`*2\r\n$1\r\nD\r\n$${HELD_INPUT_BYTES}\r\n${"x".repeat(HELD_INPUT_BYTES)}\r\n`);
  assert.equal(fake.transport.isPaused, true);

  fake.connection.isLate = false;
  fake.connection.run();
  fake.turn();
  assert.equal(fake.sent(), "+B\r\n+C\r\n+D\r\n");
  assert.equal(fake.transport.isPaused, false);
});

test("what a late connection has received runs before its end", () => {
  const fake = new FakeConnection();
  fake.time = 1;
  fake.feed("A\r\nB\r\n");
  fake.connection.ended();
  fake.time = 10;
  fake.connection.isLate = false;
  fake.connection.run();
  fake.turn();
  assert.equal(fake.transport.sent, "+A\r\n+B\r\n".slice(4));
  assert.equal(fake.transport.end, "closed");
});
