/** Patterns: Redis's rules, byte for byte, and their cost. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Glob } from "../../../runtime/base/glob.ts";

function matches(pattern: string, text: string): boolean {
  const bytes = Buffer.from(text, "latin1");
  return new Glob(Buffer.from(pattern, "latin1")).matches(bytes, 0, bytes.length);
}

/** Redis's stringmatchlen (util.c), as it is written there: recursive and slow. */
function redisMatches(p: string, t: string): boolean {
  let pi = 0;
  let ti = 0;
  while (pi < p.length && ti < t.length) {
    if (p[pi] === "*") {
      while (p[pi + 1] === "*") pi++;
      if (pi === p.length - 1) return true;
      for (; ti < t.length; ti++) if (redisMatches(p.slice(pi + 1), t.slice(ti))) return true;
      return false;
    }
    if (p[pi] === "[") {
      const [next, admitted] = redisClass(p, pi + 1, t.charCodeAt(ti));
      if (!admitted) return false;
      pi = next;
    } else if (p[pi] !== "?") {
      if (p[pi] === "\\" && pi + 1 < p.length) pi++;
      if (p[pi] !== t[ti]) return false;
    }
    ti++;
    pi++;
  }
  if (ti === t.length) while (p[pi] === "*") pi++;
  return pi >= p.length && ti === t.length;
}

function redisClass(p: string, start: number, byte: number): [number, boolean] {
  let pi = start;
  const isNegated = p[pi] === "^";
  if (isNegated) pi++;
  let isIn = false;
  for (; ; pi++) {
    if (p[pi] === "\\" && pi + 1 < p.length) {
      if (p.charCodeAt(++pi) === byte) isIn = true;
    } else if (p[pi] === "]") {
      break;
    } else if (pi >= p.length) {
      pi--;
      break;
    } else if (p[pi + 1] === "-" && pi + 2 < p.length) {
      const ends = [p.charCodeAt(pi), p.charCodeAt(pi + 2)].sort((a, b) => a - b);
      if (byte >= (ends[0] as number) && byte <= (ends[1] as number)) isIn = true;
      pi += 2;
    } else if (p.charCodeAt(pi) === byte) {
      isIn = true;
    }
  }
  return [pi, isIn !== isNegated];
}

test("a pattern matches what Redis's matcher matches", () => {
  const alphabet = fc.constantFrom("a", "b", "c", "*", "?", "[", "]", "^", "-", "\\");
  const pattern = fc.string({ unit: alphabet, maxLength: 10 });
  const text = fc.string({ unit: fc.constantFrom("a", "b", "c", "-", "]", "\\"), maxLength: 8 });
  fc.assert(
    fc.property(pattern, text, (p, t) => {
      assert.equal(matches(p, t), redisMatches(p, t), JSON.stringify([p, t]));
    }),
    { numRuns: 5000 },
  );
});

test("stars, questions, classes and escapes match as Redis documents", () => {
  assert.ok(matches("h?llo", "hallo"));
  assert.ok(matches("h*llo", "heeeello"));
  assert.ok(matches("h*llo", "hllo"));
  assert.ok(matches("h[ae]llo", "hello"));
  assert.ok(!matches("h[ae]llo", "hillo"));
  assert.ok(matches("h[^e]llo", "hbllo"));
  assert.ok(!matches("h[^e]llo", "hello"));
  assert.ok(matches("h[b-a]llo", "hallo"));
  assert.ok(matches("\\*", "*"));
  assert.ok(!matches("\\*", "x"));
  assert.ok(matches("a\\", "a\\"));
  assert.ok(matches("", ""));
  assert.ok(!matches("", "a"));
  assert.ok(!matches("a", ""));
});

test("an unclosed class ends with the pattern", () => {
  assert.ok(matches("[aaaa", "a"));
  assert.ok(!matches("[aaaa", "b"));
  assert.ok(!matches("[", "["));
  assert.ok(matches("[^", "x"));
});

test("every byte is itself, invalid UTF-8 too", () => {
  assert.ok(matches("\xff?\x00", "\xff\xfe\x00"));
  assert.ok(matches("[\xf0-\xff]", "\xfe"));
  assert.ok(!matches("\xc3\xa9", "e\xcc\x81"));
});

test("a text is matched within its range only", () => {
  const bytes = Buffer.from("xxabcxx");
  assert.ok(new Glob(Buffer.from("abc")).matches(bytes, 2, 5));
  assert.ok(!new Glob(Buffer.from("abcx")).matches(bytes, 2, 5));
});

test("a thousand stars cost what one costs", () => {
  const glob = new Glob(Buffer.from("*".repeat(1000)), 0);
  assert.ok(glob.matchesAll);
  assert.ok(glob.matches(Buffer.alloc(10_000, "a"), 0, 10_000));
  assert.ok(!glob.exhausted);
});

test("stars with letters between them do not multiply the cost", () => {
  const glob = new Glob(Buffer.from(`${"*a".repeat(20)}*b`), 0);
  const text = Buffer.alloc(10_000, "a");
  assert.ok(!glob.matches(text, 0, text.length));
  assert.ok(!glob.exhausted);
});

test("a pattern that goes beyond its budget says so and matches nothing more", () => {
  const text = Buffer.alloc(20_000, "a");
  const glob = new Glob(Buffer.from(`*${"a".repeat(5000)}b`), 1_000_000);
  assert.ok(!glob.matches(text, 0, text.length));
  assert.ok(glob.exhausted);
});
