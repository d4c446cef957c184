/** `npm run docs`: writes the pages that are made from code. */
import { writeFileSync } from "node:fs";
import { commandPage } from "./command-page.ts";

writeFileSync(new URL("../docs/commands.md", import.meta.url), commandPage());
