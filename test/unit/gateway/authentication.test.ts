/** AUTH against who guesses: late answers in their places, lockouts, who is spared. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandTable } from "../../../actors/command-table.ts";
import { LATE_REFUSALS_MAX, Logins } from "../../../actors/gateway/authentication.ts";
import { FREE_FAILURES, LOCKOUT_MS_FIRST } from "../../../actors/gateway/lockouts.ts";
import { ManualClock } from "../../../runtime/base/clock.ts";
import { FakeConnection } from "../../support/fake-connection.ts";
import { until } from "../../support/until.ts";
import { WorkerNode } from "../../support/worker-node.ts";

const PASSWORD = "open sesame";
const WRONG = { error: "WRONGPASS invalid username-password pair or user is disabled." };
const NO_AUTH = { error: "NOAUTH Authentication required." };
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
  assert.deepEqual(await other.call("AUTH", PASSWORD), LOCKED);
  assert.equal(answered, false);
  node.clock.advance(1);
  assert.deepEqual(await late, [WRONG, NO_AUTH]);
  assert.equal(await other.call("AUTH", PASSWORD), "OK");
});

test("a locked-out address is refused with HELLO too, counted, and let in once it has waited", async () => {
  const { node, guesser } = await lockedNode();
  await using _ = node;
  guesser.send(["HELLO", "3", "AUTH", "default", "again"]);
  using client = await node.connect();
  await lockedOut(node);
  assert.deepEqual(await client.call("HELLO", "3", "AUTH", "default", PASSWORD), LOCKED);
  assert.deepEqual(await client.call("GET", "k"), NO_AUTH);
  node.clock.advance(LOCKOUT_MS_FIRST);
  assert.deepEqual(await guesser.take(1), [WRONG]);
  assert.equal(await client.call("AUTH", "default", PASSWORD), "OK");
  const info = (await client.call("INFO", "stats", "commandstats")) as string;
  assert.match(info, /\r\nacl_access_denied_auth:5\r\n/);
  assert.match(info, /\r\ncoterie_auth_lockouts:1\r\n/);
  assert.match(info, /\r\ncmdstat_hello:calls=2,.*,failed_calls=2\r\n/);
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
  const logins = new Logins({ clock, timers: clock });
  const refused = (answer: FakeConnection) => {
    let isLate = false;
    answer.answer = (connection) => {
      isLate = logins.refuseLater(connection, "WRONGPASS no", 100);
    };
    answer.connection.client.mutesReply = () => false;
    answer.receive("AUTH x\r\n");
    return isLate;
  };
  const waiting = Array.from({ length: LATE_REFUSALS_MAX }, () => new FakeConnection());
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
