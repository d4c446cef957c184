/** ACL, as far as one user with all rights goes: what tools read of it. */
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { containerCommand, type SessionCommand, sessionCommand } from "../../command.ts";
import { DEFAULT_USER } from "../authentication.ts";
import type { Client } from "../client.ts";
import { CATEGORIES, inCategory, isCategory } from "./acl-categories.ts";

function about(
  facts: Pick<SessionCommand, "name" | "arity" | "summary"> & {
    flags?: SessionCommand["flags"];
    syntax?: string;
  },
  execute: SessionCommand["execute"],
): SessionCommand {
  const flags = facts.flags ?? ["admin", "noscript", "loading", "stale"];
  const since = "6.0.0";
  return sessionCommand({ ...facts, flags, group: "server", since, complexity: "O(1)", execute });
}

function replyTexts(texts: readonly string[], reply: RespWriter): void {
  reply.array(texts.length);
  for (const text of texts) reply.bulkText(text);
}

/** The user's flags: whether a password is needed. It is never shown, not even its hash. */
function userFlags(client: Client): readonly string[] {
  return client.worker.config.security.password === undefined ? ["on", "nopass"] : ["on"];
}

const whoAmI = about(
  {
    name: "ACL|WHOAMI",
    arity: 2,
    flags: ["noscript", "loading", "stale"],
    summary: "Returns the authenticated username of the current connection.",
  },
  (_client, _request, reply) => reply.bulkText(DEFAULT_USER),
);

const list = about(
  { name: "ACL|LIST", arity: 2, summary: "Dumps the effective rules in ACL file format." },
  (client, _request, reply) => {
    replyTexts([`user ${DEFAULT_USER} ${userFlags(client).join(" ")} ~* &* +@all`], reply);
  },
);

const users = about(
  { name: "ACL|USERS", arity: 2, summary: "Lists all ACL users." },
  (_client, _request, reply) => replyTexts([DEFAULT_USER], reply),
);

const getUser = about(
  {
    name: "ACL|GETUSER",
    arity: 3,
    summary: "Lists the ACL rules of a user.",
    syntax: "username",
  },
  (client, request, reply) => {
    if (request.text(2) !== DEFAULT_USER) {
      reply.nil();
      return;
    }
    const flags = userFlags(client);
    reply.map(6);
    reply.bulkText("flags");
    reply.set(flags.length);
    for (const flag of flags) reply.bulkText(flag);
    reply.bulkText("passwords");
    reply.array(0);
    reply.bulkText("commands");
    reply.bulkText("+@all");
    reply.bulkText("keys");
    reply.bulkText("~*");
    reply.bulkText("channels");
    reply.bulkText("&*");
    reply.bulkText("selectors");
    reply.array(0);
  },
);

const cat = about(
  {
    name: "ACL|CAT",
    arity: -2,
    flags: ["noscript", "loading", "stale"],
    summary: "Lists the ACL categories, or the commands inside a category.",
    syntax: "[category]",
  },
  (client, request, reply) => {
    if (request.count === 2) {
      replyTexts(CATEGORIES, reply);
      return;
    }
    const category = request.text(2).toLowerCase();
    if (request.count > 3 || !isCategory(category)) {
      reply.error(
        request.count > 3
          ? "ERR unknown subcommand or wrong number of arguments for 'CAT'. Try ACL HELP."
          : `ERR Unknown category '${request.text(2).slice(0, 128)}'`,
      );
      return;
    }
    const all = client.worker.table.entries.flatMap((entry) => [entry, ...entry.subcommands]);
    const inside = all.filter(({ facts }) => inCategory(facts, category));
    replyTexts(
      inside.map(({ fullName }) => fullName),
      reply,
    );
  },
);

const acl = containerCommand({
  name: "ACL",
  group: "server",
  since: "6.0.0",
  summary: "A container for Access List Control commands.",
  complexity: "Depends on subcommand.",
  subcommands: [whoAmI, list, users, getUser, cat],
});

export const aclCommands = [acl];
