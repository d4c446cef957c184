/** INFO: the node in numbers, from all its workers. */
import type { Request } from "../../../runtime/codec/request.ts";
import { nodeCommand } from "../../command.ts";
import { addParts, collectInfo, type InfoPart } from "./info-part.ts";
import { type InfoSource, SECTIONS } from "./info-sections.ts";

/** The names of the sections that a request asks for. */
function wantedSections(request: Request): ReadonlySet<string> {
  const wanted = new Set<string>();
  for (let i = 1; i < request.count; i++) wanted.add(request.text(i).toLowerCase());
  const hasAll = wanted.has("all") || wanted.has("everything");
  const hasDefault = request.count === 1 || wanted.has("default");
  for (const [name, , , isDefault] of SECTIONS) {
    if (hasAll || (hasDefault && isDefault)) wanted.add(name);
  }
  return wanted;
}

function textOf(source: InfoSource, wanted: ReadonlySet<string>): string {
  return SECTIONS.filter(([name]) => wanted.has(name))
    .map(([, title, section]) => {
      const lines = section(source).map(([name, value]) => `${name}:${value}\r\n`);
      return `# ${title}\r\n${lines.join("")}`;
    })
    .join("\r\n");
}

const info = nodeCommand({
  name: "INFO",
  arity: -1,
  flags: ["loading", "stale"],
  group: "server",
  since: "1.0.0",
  summary: "Returns information and statistics about the server.",
  complexity: "O(1)",
  syntax: "[section [section ...]]",
  categories: ["dangerous"],
  isPerWorker: true,
  collect: (worker) => collectInfo(worker),
  answer(client, request, parts, reply) {
    const totals = addParts(parts as readonly InfoPart[]);
    reply.verbatim("txt", textOf({ client, totals }, wantedSections(request)));
  },
});

export const infoCommands = [info];
