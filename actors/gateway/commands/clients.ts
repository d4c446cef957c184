/** CLIENT: what clients say of themselves, and what one may do to the others. */
import {
  containerCommand,
  nodeCommand,
  type SessionCommand,
  sessionCommand,
} from "../../command.ts";
import { SYNTAX_ERROR } from "../../vnode/commands/errors.ts";
import type { Client } from "../client.ts";
import { type ClientFilter, clientLine, killFilter, listFilter } from "./client-list.ts";
import { isPlainName, NAME_NOT_PLAIN } from "./client-names.ts";

/** A CLIENT subcommand on the client's own session. */
function own(
  facts: Pick<SessionCommand, "name" | "arity" | "since" | "summary"> & {
    syntax?: string;
    flags?: SessionCommand["flags"];
  },
  execute: SessionCommand["execute"],
): SessionCommand {
  const flags = facts.flags ?? ["noscript", "loading", "stale"];
  return sessionCommand({ ...facts, flags, group: "connection", complexity: "O(1)", execute });
}

const id = own(
  {
    name: "CLIENT|ID",
    arity: 2,
    since: "5.0.0",
    summary: "Returns the unique client ID of the connection.",
  },
  (client, _request, reply) => reply.integer(client.id),
);

const setName = own(
  {
    name: "CLIENT|SETNAME",
    arity: 3,
    since: "2.6.9",
    summary: "Sets the connection name.",
    syntax: "connection-name",
  },
  (client, request, reply) => {
    if (!isPlainName(request, 2)) {
      reply.error(NAME_NOT_PLAIN);
      return;
    }
    client.name = request.text(2);
    reply.ok();
  },
);

const getName = own(
  {
    name: "CLIENT|GETNAME",
    arity: 2,
    since: "2.6.9",
    summary: "Returns the name of the connection.",
  },
  (client, _request, reply) => {
    if (client.name === "") reply.nil();
    else reply.bulkText(client.name, "latin1");
  },
);

const setInfo = own(
  {
    name: "CLIENT|SETINFO",
    arity: 4,
    since: "7.2.0",
    summary: "Sets information specific to the client or connection.",
    syntax: "<LIB-NAME libname | LIB-VER libver>",
  },
  (client, request, reply) => {
    const option = request.text(2).slice(0, 128);
    const isName = request.equalsIgnoreCase(2, "LIB-NAME");
    if (!isName && !request.equalsIgnoreCase(2, "LIB-VER")) {
      reply.error(`ERR Unrecognized option '${option}'`);
      return;
    }
    if (!isPlainName(request, 3)) {
      reply.error(`ERR ${option} cannot contain spaces, newlines or special characters.`);
      return;
    }
    if (isName) client.libraryName = request.text(3);
    else client.libraryVersion = request.text(3);
    reply.ok();
  },
);

const info = own(
  {
    name: "CLIENT|INFO",
    arity: 2,
    since: "6.2.0",
    summary: "Returns information about the connection.",
  },
  (client, _request, reply) => reply.verbatim("txt", clientLine(client)),
);

const replyMode = own(
  {
    name: "CLIENT|REPLY",
    arity: 3,
    since: "3.2.0",
    summary: "Instructs the server whether to reply to commands.",
    syntax: "<ON | OFF | SKIP>",
  },
  (client, request, reply) => {
    if (request.equalsIgnoreCase(2, "ON")) {
      client.replyMode = "on";
      reply.ok();
    } else if (request.equalsIgnoreCase(2, "OFF")) {
      client.replyMode = "off";
    } else if (request.equalsIgnoreCase(2, "SKIP")) {
      if (client.replyMode !== "off") client.replyMode = "skip";
    } else reply.error(SYNTAX_ERROR);
  },
);

/** CLIENT NO-EVICT and NO-TOUCH: a flag of the connection. */
function onOff(
  facts: Parameters<typeof own>[0],
  change: (client: Client, isOn: boolean) => void,
): SessionCommand {
  return own({ ...facts, syntax: "<ON | OFF>" }, (client, request, reply) => {
    const isOn = request.equalsIgnoreCase(2, "ON");
    if (!isOn && !request.equalsIgnoreCase(2, "OFF")) {
      reply.error(SYNTAX_ERROR);
      return;
    }
    change(client, isOn);
    reply.ok();
  });
}

const noEvict = onOff(
  {
    name: "CLIENT|NO-EVICT",
    arity: 3,
    flags: ["admin", "noscript", "loading", "stale"],
    since: "7.0.0",
    summary: "Sets the client eviction mode of the connection.",
  },
  (client, isOn) => {
    client.noEvict = isOn;
  },
);

const noTouch = onOff(
  {
    name: "CLIENT|NO-TOUCH",
    arity: 3,
    since: "7.2.0",
    summary: "Controls whether commands sent by the client affect the LRU/LFU of accessed keys.",
  },
  (client, isOn) => {
    client.noTouch = isOn;
  },
);

const ADMIN = ["admin", "noscript", "loading", "stale"] as const;

const list = nodeCommand({
  name: "CLIENT|LIST",
  arity: -2,
  flags: ADMIN,
  group: "connection",
  since: "2.4.0",
  summary: "Lists open connections.",
  complexity: "O(N) where N is the number of client connections",
  syntax: "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]",
  check(_client, request, reply) {
    const filter = listFilter(request);
    if (typeof filter === "string") reply.error(filter);
    return typeof filter !== "string";
  },
  collect(worker, request) {
    const filter = listFilter(request);
    if (typeof filter === "string") return "";
    let lines = "";
    for (const client of worker.clients.values()) if (filter(client)) lines += clientLine(client);
    return lines;
  },
  answer: (_client, _request, parts, reply) => reply.verbatim("txt", parts.join("")),
});

/** Ends the connections of this worker that a filter lets pass; the caller's after its reply. */
function killAll(clients: Iterable<Client>, filter: ClientFilter, caller: number): number {
  let killed = 0;
  for (const client of clients) {
    if (client.connection === undefined || !filter(client)) continue;
    killed++;
    if (client.id === caller) client.connection.close();
    else client.connection.destroy();
  }
  return killed;
}

const kill = nodeCommand({
  name: "CLIENT|KILL",
  arity: -3,
  flags: ADMIN,
  group: "connection",
  since: "2.4.0",
  summary: "Terminates open connections.",
  complexity: "O(N) where N is the number of client connections",
  syntax:
    "<ip:port | [ID client-id] [TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME <YES | NO>]>",
  check(_client, request, reply) {
    const filter = killFilter(request, 0);
    if (typeof filter === "string") reply.error(filter);
    return typeof filter !== "string";
  },
  collect(worker, request, _keyspace, caller) {
    const filter = killFilter(request, caller);
    return typeof filter === "string" ? 0 : killAll([...worker.clients.values()], filter, caller);
  },
  answer(_client, request, parts, reply) {
    const killed = (parts as readonly number[]).reduce((sum, part) => sum + part, 0);
    if (request.count > 3) reply.integer(killed);
    else if (killed > 0) reply.ok();
    else reply.error("ERR No such client");
  },
});

const pause = nodeCommand({
  name: "CLIENT|PAUSE",
  arity: -3,
  flags: ADMIN,
  group: "connection",
  since: "2.9.50",
  summary: "Suspends commands processing.",
  complexity: "O(1)",
  syntax: "timeout [WRITE | ALL]",
  check(_client, request, reply) {
    if (request.count > 4) reply.error(SYNTAX_ERROR);
    else if (
      request.count === 4 &&
      !request.equalsIgnoreCase(3, "WRITE") &&
      !request.equalsIgnoreCase(3, "ALL")
    ) {
      reply.error("ERR CLIENT PAUSE mode must be WRITE or ALL");
    } else if (!request.integer(2) || !request.integerSafe) {
      reply.error("ERR timeout is not an integer or out of range");
    } else if (request.integerValue < 0) reply.error("ERR timeout is negative");
    else return true;
    return false;
  },
  collect(worker, request) {
    request.integer(2);
    const untilMs = worker.nowMs + request.integerValue;
    worker.pause(untilMs, request.count === 4 && request.equalsIgnoreCase(3, "WRITE"));
    return null;
  },
  answer: (_client, _request, _parts, reply) => reply.ok(),
});

const unpause = nodeCommand({
  name: "CLIENT|UNPAUSE",
  arity: 2,
  flags: ADMIN,
  group: "connection",
  since: "6.2.0",
  summary: "Resumes processing commands from paused clients.",
  complexity: "O(N) where N is the number of paused clients",
  collect(worker) {
    worker.pause(0, false);
    return null;
  },
  answer: (_client, _request, _parts, reply) => reply.ok(),
});

const client = containerCommand({
  name: "CLIENT",
  group: "connection",
  since: "2.4.0",
  summary: "A container for client connection commands.",
  complexity: "Depends on subcommand.",
  subcommands: [
    id,
    setName,
    getName,
    setInfo,
    info,
    list,
    kill,
    pause,
    unpause,
    replyMode,
    noEvict,
    noTouch,
  ],
});

export const clientCommands = [client];
