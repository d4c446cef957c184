/** How long a turn takes commands, and who goes on in the next one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turnEnd } from "node:timers/promises";
import { COMMANDS_A_LOOK_MAX, TURN_MS, Turn } from "../../../actors/worker/turn.ts";
import { WorkerStats } from "../../../actors/worker/worker-stats.ts";
import { ManualClock } from "../../../runtime/base/clock.ts";
import { echo, FakeConnection } from "../../support/fake-connection.ts";

/** Connections of one thread, on which a command takes a share of all the time that a turn has. */
function openThread(share = 1) {
  const clock = new ManualClock();
  const ran: string[] = [];
  let commits = 0;
  let isBehind = false;
  const steps = {
    readClock: () => undefined,
    commit: () => commits++,
    flushPorts: () => undefined,
    isBehind: () => isBehind,
  };
  const turn = new Turn(steps, clock, new WorkerStats());
  const open = () => {
    const fake = new FakeConnection();
    fake.mayRun = (connection) => turn.mayRun(connection);
    fake.flushLater = () => turn.flushLater(fake.connection);
    fake.answer = (connection, request) => {
      clock.advance(TURN_MS * share);
      ran.push(request.text(0));
      echo()(connection, request);
    };
    return fake;
  };
  const setBehind = (behind: boolean) => {
    isBehind = behind;
    if (isBehind) turn.look();
    else turn.schedule();
  };
  return { ran, open, setBehind, commits: () => commits };
}

/** So many commands with one name. */
function commands(name: string, count: number): string {
  return `${name}\r\n`.repeat(count);
}

test("a turn takes commands for a bounded time, then commits and replies; the next goes on", async () => {
  const { ran, open, commits } = openThread();
  const client = open();
  client.receive(commands("A", 3));
  assert.equal(ran.length, 1);

  await turnEnd();
  assert.equal(ran.length, 1);
  assert.equal(client.sent(), "+A\r\n");
  assert.equal(commits(), 1);

  await turnEnd();
  assert.equal(ran.length, 2);
  await turnEnd();
  assert.equal(ran.length, 3);
  assert.equal(client.connection.isLate, false);
  assert.equal(client.sent(), "+A\r\n+A\r\n");
});

test("while another worker is behind no command is taken, and nobody looks again and again", async () => {
  const { ran, open, setBehind, commits } = openThread(1 / 100);
  const client = open();
  client.receive(commands("A", 2));
  setBehind(true);
  client.receive(commands("B", 2));
  assert.deepEqual(ran, ["A", "A"]);
  await turnEnd();
  await turnEnd();
  await turnEnd();
  assert.equal(commits(), 1);
  assert.deepEqual(ran, ["A", "A"]);

  setBehind(false);
  await turnEnd();
  assert.deepEqual(ran, ["A", "A", "B", "B"]);
});

test("a turn of many quick commands ends no more than a look later", () => {
  const share = 1 / 100;
  const { ran, open } = openThread(share);
  open().receive(commands("A", 1000));
  assert.ok(ran.length >= 1 / share);
  assert.ok(ran.length <= 1 / share + COMMANDS_A_LOOK_MAX);
});

test("late connections go on in turn, before those that come later", async () => {
  const { ran, open } = openThread();
  const [first, second, third] = [open(), open(), open()];
  first.receive(commands("A", 2));
  second.receive(commands("B", 1));
  await turnEnd();
  third.receive(commands("C", 1));
  first.receive(commands("A", 1));
  for (let i = 0; i < 5; i++) await turnEnd();
  assert.equal(ran.join(""), "AABCA");
});

test("a late connection that is gone runs nothing more", async () => {
  const { ran, open } = openThread();
  const [gone, other] = [open(), open()];
  gone.receive(commands("A", 2));
  other.receive(commands("B", 1));
  gone.connection.destroy();
  for (let i = 0; i < 3; i++) await turnEnd();
  assert.equal(ran.join(""), "AB");
});
