/** Wrong passwords by address: how long they lock out, whom, and how many are remembered. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  addressOf,
  FAILURES_KEPT_MS,
  FREE_FAILURES,
  LOCKOUT_MS_FIRST,
  LOCKOUT_MS_MAX,
  Lockouts,
} from "../../../actors/gateway/lockouts.ts";
import { ManualClock } from "../../../runtime/base/clock.ts";

test("wrong passwords are free at first, then each locks out for twice as long, up to a bound", () => {
  const clock = new ManualClock();
  const lockouts = new Lockouts(clock);
  const locked: number[] = [];
  for (let i = 0; i < 11; i++) {
    const lockedMs = lockouts.failed("10.0.0.1");
    assert.equal(lockouts.lockedMs("10.0.0.1"), lockedMs);
    locked.push(lockedMs);
    clock.advance(lockedMs);
    assert.equal(lockouts.lockedMs("10.0.0.1"), 0);
  }
  assert.deepEqual(locked, [0, 0, 0, 250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
});

test("an address is forgotten after a time without wrong passwords, not before", () => {
  const clock = new ManualClock();
  const lockouts = new Lockouts(clock);
  for (let i = 0; i < FREE_FAILURES; i++) assert.equal(lockouts.failed("10.0.0.1"), 0);
  clock.advance(FAILURES_KEPT_MS - 1);
  assert.equal(lockouts.failed("10.0.0.1"), LOCKOUT_MS_FIRST);
  clock.advance(FAILURES_KEPT_MS);
  assert.equal(lockouts.failed("10.0.0.1"), 0);
});

test("of too many addresses the one that failed longest ago is forgotten", () => {
  const lockouts = new Lockouts(new ManualClock(), 3);
  const fail = (address: string, times: number) => {
    for (let i = 0; i < times; i++) lockouts.failed(address);
  };
  for (const address of ["a", "b", "c"]) fail(address, FREE_FAILURES + 1);
  fail("a", 1);
  fail("d", 1);
  assert.equal(lockouts.size, 3);
  assert.equal(lockouts.lockedMs("b"), 0);
  assert.equal(lockouts.lockedMs("a"), LOCKOUT_MS_FIRST * 2);
  assert.equal(lockouts.lockedMs("c"), LOCKOUT_MS_FIRST);
});

/** Times at which an address's passwords were looked at, for tries at any moments. */
function looks(waitsMs: readonly number[], others: boolean): number[] {
  const clock = new ManualClock();
  const lockouts = new Lockouts(clock);
  const at: number[] = [];
  for (const waitMs of waitsMs) {
    clock.advance(waitMs);
    if (others) lockouts.failed("10.0.0.2");
    const lockedMs = lockouts.lockedMs("10.0.0.1");
    assert.ok(lockedMs <= LOCKOUT_MS_MAX, "nobody is locked out for longer");
    if (lockedMs > 0) continue;
    at.push(clock.monotonicMs());
    lockouts.failed("10.0.0.1");
  }
  return at;
}

test("however an address tries, few of its guesses are looked at, and others change nothing", () => {
  const doublings = Math.log2(LOCKOUT_MS_MAX / LOCKOUT_MS_FIRST);
  fc.assert(
    fc.property(fc.array(fc.nat(2_000), { maxLength: 200 }), (waitsMs) => {
      const at = looks(waitsMs, false);
      assert.deepEqual(looks(waitsMs, true), at);
      const last = at.at(-1) ?? 0;
      const looksMax = FREE_FAILURES + doublings + 1 + last / LOCKOUT_MS_MAX;
      assert.ok(at.length <= looksMax, `${at.length} looks in ${last} ms`);
    }),
  );
});

test("an address is an IPv4 address or a /64, and a handle in this process has none", () => {
  const addresses: readonly (readonly [string, string | null])[] = [
    ["127.0.0.1:50000", "127.0.0.1"],
    ["::ffff:10.1.2.3:50000", "10.1.2.3"],
    ["::1:50000", "0:0:0:0::/64"],
    ["2001:db8:1:2:3:4:5:6:50000", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::99:50000", "2001:db8:1:2::/64"],
    ["2001:db8::99:50000", "2001:db8:0:0::/64"],
    ["2001:db8::2:3:4:5:6:50000", "2001:db8:0:2::/64"],
    ["fe80::1%eth0:50000", "fe80:0:0:0::/64"],
    ["embedded:7", null],
    ["?:0", null],
    ["", null],
  ];
  for (const [remote, address] of addresses) assert.equal(addressOf(remote), address, remote);
});
