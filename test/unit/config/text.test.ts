/**
 * Texts of the configuration: JSON with places, bytes as people write them, misspelt names.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { editDistance, nearestName } from "../../../runtime/config/nearest.ts";
import { formatBytes, parseBytes } from "../../../runtime/config/shape.ts";
import { parseConfigText } from "../../../runtime/config/text.ts";

/** What is wrong with a text, as line:column: message. */
function wrong(text: string): string {
  const parsed = parseConfigText(text);
  if (parsed.kind === "parsed") return "nothing";
  return `${parsed.place.line}:${parsed.place.column}: ${parsed.message}`;
}

test("a wrong JSON text is one problem with line and column", () => {
  const cases: readonly (readonly [string, string])[] = [
    ['{\n  "a": 1,\n}', "3:1: a comma before } is not allowed in JSON"],
    ['{"a": 1 // why\n}', "1:9: comments are not allowed in JSON"],
    ['{"a": 1, "a": 2}', '1:10: the field "a" is there twice'],
    ["", "1:1: the text ends too early"],
    ['{"a"', '1:5: expected ":" after the field name'],
    ['{"a": [1,]}', "1:10: a comma before ] is not allowed in JSON"],
    ["{a: 1}", "1:2: expected a field name in double quotes"],
    ['{"a": "x\n"}', '1:7: text without its closing "'],
    ["{} {}", "1:4: something follows the end of the object"],
    ['{"cluster": yes}', "1:13: yes is no JSON value (text needs double quotes)"],
  ];
  for (const [text, expected] of cases) assert.equal(wrong(text), expected);
  assert.match(wrong("[".repeat(100)), /nested too deeply/);
});

test("a JSON text parses to what JSON.parse gives", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), fc.constantFrom(0, 1, 2), (value, indent) => {
      const parsed = parseConfigText(JSON.stringify(value, undefined, indent));
      assert.equal(parsed.kind, "parsed");
      if (parsed.kind === "parsed") {
        assert.equal(JSON.stringify(parsed.value), JSON.stringify(value));
      }
    }),
  );
});

test("bytes are read as people write them", () => {
  assert.equal(parseBytes("64mb"), 64 * 1024 ** 2);
  assert.equal(parseBytes("1.5 GiB"), 1.5 * 1024 ** 3);
  assert.equal(parseBytes("4096"), 4096);
  for (const wrong of ["", "mb", "1e3", "-1kb", "1.0000001", "0x10", "1kbb", " 1 k b"]) {
    assert.equal(parseBytes(wrong), undefined, wrong);
  }
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 45 }), (value) => {
      assert.equal(parseBytes(formatBytes(value)), value);
    }),
  );
});

test("the nearest name is found over swaps, case and dashes, and only if it is near", () => {
  const names = ["port", "password-file", "outputHardBytes"];
  assert.equal(nearestName("prot", names), "port");
  assert.equal(nearestName("PASSWORD_FILE", names), "password-file");
  assert.equal(nearestName("output", names), "outputHardBytes");
  assert.equal(nearestName("zebra", names), undefined);
  assert.equal(editDistance("ab", "ba"), 1);
  assert.equal(editDistance("", "abc"), 3);
});
