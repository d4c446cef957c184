/** Where a running node listens, in its folder. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { removePortsFile, writePortsFile } from "../../../actors/supervisor/ports-file.ts";
import { systemFiles } from "../../../runtime/storage/files.ts";
import { emptyFolder } from "../../support/command-line.ts";

const PORTS = { gateway: 7379, admin: 7378, control: 0, direct: [7380], links: [] };

test("the file says where the node listens, until the node stops", async () => {
  using folder = emptyFolder();
  await writePortsFile(systemFiles, folder.path, PORTS);
  const text = readFileSync(join(folder.path, "ports.json"), "utf8");
  assert.equal(JSON.parse(text).gateway, 7379);
  await removePortsFile(systemFiles, folder.path);
  assert.deepEqual(readdirSync(folder.path), []);
});

test("a folder in its place is an error that says so, and nothing is left behind", async () => {
  using folder = emptyFolder();
  mkdirSync(join(folder.path, "ports.json"));
  await removePortsFile(systemFiles, folder.path);
  await assert.rejects(writePortsFile(systemFiles, folder.path, PORTS), {
    code: "DATA_FOLDER_UNREADABLE",
    message: /cannot write \S+ports.json \(EISDIR\): a folder is in the file's place/,
  });
  assert.deepEqual(readdirSync(folder.path), ["ports.json"]);
});
