/**
 * docs/commands.md out of the commands' declarations. `npm run docs` writes it; a test compares.
 */
import type { Command, LeafCommand } from "../actors/command.ts";
import { commands } from "../actors/commands.ts";

const INTRO = `# Commands

Made from the declarations in \`actors/\` by \`npm run docs\`. Semantics, replies and error texts are
Redis 7.2's; a command that is not here does not exist. *Across* says what happens to keys of several
partitions: \`one\` – a single key; \`turn\` – one atomic turn where the keys share a worker thread, else
all or nothing over threads; \`split\` – key by key over threads, atomic per key; \`node\` – each worker
in turn; \`–\` – no keys.
`;

/** The page's text. */
export function commandPage(): string {
  const groups = new Map<string, string[]>();
  for (const command of commands) {
    for (const leaf of leaves(command)) {
      const rows = groups.get(leaf.group) ?? [];
      groups.set(leaf.group, rows);
      rows.push(row(leaf));
    }
  }
  const pages = [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([group, rows]) => {
      const head = "| command | does | cost | across |\n| --- | --- | --- | --- |";
      return `## ${group}\n\n${head}\n${rows.sort().join("\n")}\n`;
    });
  return `${INTRO}\n${pages.join("\n")}`;
}

function leaves(command: Command): readonly LeafCommand[] {
  if (command.scope !== "container") return [command];
  return command.subcommands.filter(({ name }) => !name.endsWith("|HELP"));
}

function row(command: LeafCommand): string {
  const name = command.name.replace("|", " ");
  const syntax = command.syntax === undefined ? "" : ` ${command.syntax}`;
  const cells = [`\`${name}${syntax}\``, command.summary, command.complexity, across(command)];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

function across(command: LeafCommand): string {
  switch (command.scope) {
    case "key":
      return "one";
    case "keys":
      return command.split === undefined ? "turn" : "split";
    case "node":
    case "sliced":
    case "partition":
      return "node";
    case "session":
      return "–";
  }
}
