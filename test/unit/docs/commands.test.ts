/** docs/commands.md says what the declarations say. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { commandPage } from "../../../bin/command-page.ts";

test("the page of commands is the one that the declarations make (npm run docs)", () => {
  const page = readFileSync(new URL("../../../docs/commands.md", import.meta.url), "utf8");

  assert.equal(page, commandPage());
});
