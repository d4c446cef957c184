/** AUTH against who guesses: late answers in their places, lockouts, who is spared. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandTable } from "../../../actors/command-table.ts";
import { LATE_ANSWERS_MAX, Logins } from "../../../actors/gateway/authentication.ts";
import type { Client } from "../../../actors/gateway/client.ts";
import {
  FREE_FAILURES,
  LOCKOUT_MS_FIRST,
  LOCKOUT_MS_MAX,
} from "../../../actors/gateway/lockouts.ts";
import { requestOf } from "../../../actors/gateway/steps.ts";
import { ManualClock } from "../../../runtime/base/clock.ts";
import { FakeConnection } from "../../support/fake-connection.ts";
import type { TestClient } from "../../support/test-client.ts";
import { until } from "../../support/until.ts";
import { WorkerNode } from "../../support/worker-node.ts";

const PASSWORD = "open sesame";
const WRONG = { error: "WRONGPASS invalid username-password pair or user is disabled." };
const NO_AUTH = { error: "NOAUTH Authentication required." };
const NO_AUTH_HELLO = {
  error:
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
};
const LOCKED = {
  error:
    "DENIED too many wrong passwords came from this address, so none is looked at: wait 1 s, then send the right one",
};

/** A node with a password, and a client that has spent what is free. */
async function lockedNode() {
  const node = await WorkerNode.start({ password: PASSWORD });
  const guesser = await node.connect();
  for (let i = 0; i < FREE_FAILURES; i++) {
    assert.deepEqual(await guesser.call("AUTH", `guess ${i}`), WRONG);
  }
  return { node, guesser };
}

/** The worker has read the guess that is one too many. */
function lockedOut(node: WorkerNode): Promise<true> {
  return until(() => node.workers[0]?.stats.lockouts === 1 || undefined);
}

/** So many of the first worker's connections have a try that is held. */
function heldTries(node: WorkerNode, count: number): Promise<true> {
  const clients = node.workers[0]?.clients ?? new Map<number, Client>();
  return until(() => {
    const blocked = [...clients.values()].filter(({ connection }) => connection?.isBlocked);
    return blocked.length === count || undefined;
  });
}

test("a guess too many is answered late and in its place, while others are served", async () => {
  const { node, guesser } = await lockedNode();
  await using _ = node;
  using other = await node.connect();
  guesser.send(["AUTH", "again"], ["PING"]);
  await lockedOut(node);
  const late = guesser.take(2);
  let answered = false;
  void late.then(() => {
    answered = true;
  });
  node.clock.advance(LOCKOUT_MS_FIRST - 1);
  assert.deepEqual(await other.call("GET", "k"), NO_AUTH);
  assert.equal(answered, false);
  node.clock.advance(1);
  assert.deepEqual(await late, [WRONG, NO_AUTH]);
  assert.equal(await other.call("AUTH", PASSWORD), "OK");
});

test("a try during a lockout waits for its end, and what was sent after it waits, too", async () => {
  const { node, guesser } = await lockedNode();
  await using _ = node;
  guesser.send(["HELLO", "3", "AUTH", "default", "again"]);
  using client = await node.connect();
  using other = await node.connect();
  await lockedOut(node);
  client.send(["HELLO", "2", "AUTH", "default", PASSWORD], ["SET", "k", "v"], ["GET", "k"]);
  other.send(["AUTH", PASSWORD], ["AUTH", PASSWORD], ["PING"]);
  await heldTries(node, 2);
  using none = await node.connect();
  assert.deepEqual(await none.call("HELLO", "3"), NO_AUTH_HELLO);
  node.clock.advance(LOCKOUT_MS_FIRST);
  assert.deepEqual(await guesser.take(1), [WRONG]);
  assert.deepEqual((await client.take(3)).slice(1), ["OK", "v"]);
  assert.deepEqual(await other.take(3), ["OK", "OK", "PONG"]);
  const info = (await client.call("INFO", "stats", "commandstats")) as string;
  assert.match(info, /\r\nacl_access_denied_auth:4\r\n/);
  assert.match(info, /\r\ncoterie_auth_lockouts:1\r\n/);
  assert.match(info, /\r\ncmdstat_hello:calls=3,.*,failed_calls=2\r\n/);
});

test("who sends a wrong password again and again locks out nobody for ever", async () => {
  const { node, guesser } = await lockedNode();
  await using _ = node;
  let last = guesser;
  const again = async (lockouts: number) => {
    last.destroy();
    last = await node.connect();
    last.send(["AUTH", "again"]);
    await until(() => node.workers[0]?.stats.lockouts === lockouts || undefined);
  };
  await again(1);
  // Until its lockouts are the longest ones.
  for (let lockouts = 1; lockouts < 7; lockouts++) {
    node.clock.advance(LOCKOUT_MS_FIRST * 2 ** (lockouts - 1));
    assert.deepEqual(await last.take(1), [WRONG]);
    await again(lockouts + 1);
  }
  using client = await node.connect();
  client.send(["AUTH", PASSWORD], ["PING"]);
  await heldTries(node, 1);
  // It is told when the lockout ends, and would be the first to try again.
  node.clock.advance(LOCKOUT_MS_MAX);
  assert.deepEqual(await last.take(1), [WRONG]);
  await again(8);
  assert.deepEqual(await client.take(2), ["OK", "PONG"]);
  last.destroy();
});

test("held tries are looked at in the order of arrival, one wrong one a lockout", async () => {
  const { node, guesser } = await lockedNode();
  await using _ = node;
  const [worker] = node.workers;
  guesser.send(["AUTH", "again"]);
  await lockedOut(node);
  const clients = [];
  for (const password of ["wrong", PASSWORD, "wrong", PASSWORD]) {
    const client = await node.connect();
    client.send(["AUTH", password]);
    clients.push(client);
    await heldTries(node, clients.length);
  }
  const [wrong, right, wrongAgain, last] = clients as [
    TestClient,
    TestClient,
    TestClient,
    TestClient,
  ];
  node.clock.advance(LOCKOUT_MS_FIRST);
  assert.equal(worker?.stats.lockouts, 2);
  await heldTries(node, 3);
  node.clock.advance(2 * LOCKOUT_MS_FIRST - 1);
  assert.equal(worker?.stats.lockouts, 2);
  node.clock.advance(1);
  assert.deepEqual(await wrong.take(1), [WRONG]);
  assert.deepEqual(await right.take(1), ["OK"]);
  assert.equal(worker?.stats.lockouts, 3);
  // Longer than a client has to authenticate.
  node.clock.advance(4 * LOCKOUT_MS_FIRST);
  assert.deepEqual(await wrongAgain.take(1), [WRONG]);
  assert.deepEqual(await last.take(1), ["OK"]);
  for (const client of clients) client.destroy();
});

test("a held client is not late with its password", async () => {
  const { node, guesser } = await lockedNode();
  await using _ = node;
  const [worker] = node.workers;
  assert.ok(worker);
  worker.limits.handshakeTimeoutMs = 600;
  guesser.send(["AUTH", "again"]);
  await lockedOut(node);
  using wrong = await node.connect();
  using other = await node.connect();
  wrong.send(["AUTH", "wrong"]);
  await heldTries(node, 1);
  other.send(["AUTH", PASSWORD]);
  await heldTries(node, 2);
  let looks = 0;
  const { exchange } = worker;
  // Clients are looked at in the same tick.
  exchange.expire = () => void looks++;
  for (let i = 0; looks < 8 && i < 1_000; i++) node.clock.advance(100);
  assert.deepEqual(await wrong.take(1), [WRONG]);
  assert.deepEqual(await other.take(1), ["OK"]);
});

test("who gives up waiting is not looked at", async () => {
  const { node, guesser } = await lockedNode();
  await using _ = node;
  guesser.send(["AUTH", "again"]);
  await lockedOut(node);
  const [gone, ended, stays] = [await node.connect(), await node.connect(), await node.connect()];
  for (const [i, client] of [gone, ended, stays].entries()) {
    client.send(["AUTH", client === stays ? PASSWORD : "wrong"]);
    await heldTries(node, i + 1);
  }
  const [worker] = node.workers;
  const [, goneThere] = [...(worker?.clients.values() ?? [])];
  gone.reset();
  ended.end();
  await ended.closed;
  await heldTries(node, 1);
  assert.equal(goneThere?.connection?.closed, true);
  assert.equal(worker?.logins.forget(goneThere.connection), false);
  node.clock.advance(LOCKOUT_MS_FIRST);
  assert.deepEqual(await stays.take(1), ["OK"]);
  assert.equal(worker?.stats.lockouts, 1);
  stays.destroy();
});

test("where too many answers wait, a locked-out address is refused", async () => {
  const { node, guesser } = await lockedNode();
  await using _ = node;
  guesser.send(["AUTH", "again"]);
  await lockedOut(node);
  const logins = node.workers[0]?.logins;
  const held: FakeConnection[] = [];
  for (let i = 1; i < LATE_ANSWERS_MAX; i++) {
    const fake = new FakeConnection();
    held.push(fake);
    logins?.whenOver(fake.connection, () => assert.fail("it is not looked at"));
  }
  using other = await node.connect();
  assert.deepEqual(await other.call("AUTH", PASSWORD), LOCKED);
  for (const { connection } of held) assert.equal(logins?.forget(connection), true);
  other.send(["AUTH", PASSWORD], ["RESET"]);
  await heldTries(node, 1);
  node.clock.advance(LOCKOUT_MS_FIRST);
  assert.deepEqual(await other.take(2), ["OK", "RESET"]);
  // Nothing waits any more.
  const late = Array.from({ length: LATE_ANSWERS_MAX }, () => new FakeConnection());
  assert.ok(late.every(({ connection }) => logins?.refuseLater(connection, "WRONGPASS no", 1)));
});

test("who has authenticated is neither locked out nor kept waiting", async () => {
  await using node = await WorkerNode.start({ password: PASSWORD });
  using client = await node.connect();
  assert.equal(await client.call("AUTH", PASSWORD), "OK");
  for (let i = 0; i < 2 * FREE_FAILURES; i++) {
    assert.deepEqual(await client.call("AUTH", "wrong"), WRONG);
  }
  assert.equal(await client.call("AUTH", PASSWORD), "OK");
  assert.equal(node.workers[0]?.stats.lockouts, 0);
});

test("before AUTH no command runs but those that lead to it", async () => {
  await using node = await WorkerNode.start({ password: PASSWORD });
  using client = await node.connect();
  const entries = new CommandTable().entries.flatMap((entry) => [entry, ...entry.subcommands]);
  let refused = 0;
  for (const { fullName, arity, needsNoAuth } of entries) {
    const words = [...fullName.split("|"), "k", "v", "w", "x"].slice(0, Math.abs(arity));
    if (needsNoAuth) continue;
    const reply = await client.call(...words);
    if (fullName === "exec") assert.match(JSON.stringify(reply), /EXECABORT .*: NOAUTH /);
    else assert.deepEqual(reply, NO_AUTH, words.join(" "));
    refused++;
  }
  assert.ok(refused > 150, `${refused} commands`);
  assert.deepEqual(await client.call("NOPE"), NO_AUTH);
  assert.equal(await client.call("AUTH", PASSWORD), "OK");
  assert.equal(await client.call("DBSIZE"), 0);
});

test("before AUTH a request is small, or the end; after it, it is not", async () => {
  await using node = await WorkerNode.start({ password: PASSWORD });
  const tooMany = ["MSET", ...Array.from({ length: 10 }, () => "x")];
  const tooLong = ["AUTH", "x".repeat(16_385)];
  for (const [request, error] of [
    [tooMany, "ERR Protocol error: unauthenticated multibulk length"],
    [tooLong, "ERR Protocol error: unauthenticated bulk length"],
  ] as const) {
    using client = await node.connect();
    client.send(request, ["AUTH", PASSWORD]);
    assert.deepEqual(await client.untilClosed(), [{ error }]);
  }
  using client = await node.connect();
  const replies = await client.pipeline(["AUTH", PASSWORD], tooMany, tooLong);
  assert.deepEqual(replies, ["OK", "OK", WRONG]);

  const MB = 1024 * 1024;
  await client.call("CONFIG", "SET", "proto-max-bulk-len", String(MB));
  using later = await node.connect();
  later.send(["AUTH", PASSWORD], ["SET", "k", "x".repeat(MB + 1)]);
  const error = "ERR Protocol error: invalid bulk length";
  assert.deepEqual(await later.untilClosed(), ["OK", { error }]);
});

test("a bounded number of answers wait", () => {
  const clock = new ManualClock();
  const logins = new Logins({ clock, timers: clock, beginTurn: () => {} });
  const refused = (answer: FakeConnection) => {
    let isLate = false;
    answer.answer = (connection) => {
      isLate = logins.refuseLater(connection, "WRONGPASS no", 100);
    };
    answer.connection.client.mutesReply = () => false;
    answer.receive("AUTH x\r\n");
    return isLate;
  };
  const waiting = Array.from({ length: LATE_ANSWERS_MAX }, () => new FakeConnection());
  assert.ok(waiting.every(refused));
  assert.equal(refused(new FakeConnection()), false);
  clock.advance(100);
  for (const fake of waiting) {
    fake.turn();
    assert.equal(fake.sent(), "-WRONGPASS no\r\n");
  }
  assert.equal(refused(new FakeConnection()), true);
});

test("a worker that was idle gives a new client all of its time to authenticate", async () => {
  await using node = await WorkerNode.start({ password: PASSWORD });
  const [worker] = node.workers;
  assert.ok(worker);
  node.clock.advance(2 * worker.limits.handshakeTimeoutMs);
  using client = await node.connect();
  await until(() => worker.clients.size === 1 || undefined);
  node.clock.advance(worker.limits.handshakeTimeoutMs - 1_000);
  assert.equal(await client.call("AUTH", PASSWORD), "OK");
  const list = (await client.call("CLIENT", "LIST")) as string;
  assert.match(list, / age=9 /);
});

test("nobody overtakes who is held, also where the timer is late", () => {
  const clock = new ManualClock();
  let nowMs = 0;
  const time = { now: () => nowMs, monotonicMs: () => nowMs };
  const logins = new Logins({ clock: time, timers: clock, beginTurn: () => {} });
  const request = requestOf(["AUTH", "x"].map((text) => Buffer.from(text)));
  const entry = new CommandTable().find(request);
  assert.ok(entry);
  const isHeld = ({ connection }: FakeConnection) => {
    return logins.holds({ isAuthenticated: false, connection } as Client, entry, request);
  };
  const [first, second] = [new FakeConnection(), new FakeConnection()];
  for (let i = 0; i <= FREE_FAILURES; i++) logins.lockouts.failed("127.0.0.1");
  assert.equal(isHeld(first), true);
  let looks = 0;
  Object.assign(first.connection.client, { worker: { nowMs } });
  logins.whenOver(first.connection, () => {
    looks++;
    assert.equal(isHeld(first), false);
  });
  nowMs = LOCKOUT_MS_FIRST;
  assert.equal(isHeld(second), true);
  // It comes a little early, and again.
  nowMs = LOCKOUT_MS_FIRST - 0.5;
  clock.advance(LOCKOUT_MS_FIRST);
  assert.equal(looks, 0);
  nowMs = LOCKOUT_MS_FIRST;
  clock.advance(1);
  assert.equal(looks, 1);
  assert.equal(isHeld(second), false);
});

test("after RESET a client has as long to authenticate as after its connect", async () => {
  await using node = await WorkerNode.start({ password: PASSWORD });
  const [worker] = node.workers;
  assert.ok(worker);
  using client = await node.connect();
  assert.equal(await client.call("AUTH", PASSWORD), "OK");
  node.clock.advance(2 * worker.limits.handshakeTimeoutMs);
  assert.equal(await client.call("RESET"), "RESET");
  let looks = 0;
  const { exchange } = worker;
  // Clients are looked at in the same tick.
  exchange.expire = () => void looks++;
  for (let i = 0; i < 100 && looks < 2; i++) node.clock.advance(100);
  assert.equal(looks, 2);
  assert.equal(await client.call("AUTH", PASSWORD), "OK");

  assert.equal(await client.call("RESET"), "RESET");
  node.clock.advance(2 * worker.limits.handshakeTimeoutMs);
  await client.closed;
});
