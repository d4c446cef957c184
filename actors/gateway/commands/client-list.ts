/** Clients as CLIENT LIST shows them, and which of them CLIENT LIST and KILL mean. */
import type { Request } from "../../../runtime/codec/request.ts";
import { SYNTAX_ERROR } from "../../vnode/commands/errors.ts";
import { DEFAULT_USER } from "../authentication.ts";
import type { Client } from "../client.ts";

export type ClientFilter = (client: Client) => boolean;

/** All our clients are of this type: others replicate, or subscribe. */
const TYPES = new Set(["normal", "master", "slave", "replica", "pubsub"]);

/** One line of CLIENT LIST, with its line end. */
export function clientLine(client: Client): string {
  const { connection, worker, queue } = client;
  const age = Math.max(0, Math.floor((worker.nowMs - client.connectedAtMs) / 1000));
  const idle = Math.max(0, Math.floor((worker.nowMs - client.lastCommandAtMs) / 1000));
  const pending = connection?.pendingOutput ?? 0;
  const fields = [
    `id=${client.id}`,
    `addr=${connection?.transport.remoteAddress ?? ""}`,
    `laddr=${connection?.transport.localAddress ?? ""}`,
    "fd=-1",
    `name=${client.name}`,
    `age=${age}`,
    `idle=${idle}`,
    `flags=${flagsOf(client)}`,
    `db=${client.keyspace}`,
    "sub=0",
    "psub=0",
    "ssub=0",
    `multi=${queue === null ? -1 : queue.length}`,
    `qbuf=${connection?.pendingInput ?? 0}`,
    "qbuf-free=0",
    "argv-mem=0",
    `multi-mem=${client.queueBytes}`,
    `rbs=${connection?.out.buffer.length ?? 0}`,
    "rbp=0",
    "obl=0",
    "oll=0",
    `omem=${pending}`,
    `tot-mem=${pending + (connection?.pendingInput ?? 0) + client.queueBytes}`,
    "events=r",
    `cmd=${client.lastCommand === "" ? "NULL" : client.lastCommand.toLowerCase()}`,
    `user=${client.isAuthenticated ? DEFAULT_USER : "(superuser)"}`,
    "redir=-1",
    `resp=${client.protocol}`,
    `lib-name=${client.libraryName}`,
    `lib-ver=${client.libraryVersion}`,
  ];
  return `${fields.join(" ")}\n`;
}

function flagsOf(client: Client): string {
  let flags = "";
  if (client.queue !== null) flags += "x";
  if (client.connection?.closing) flags += "c";
  if (client.isReadonly) flags += "r";
  if (client.noEvict) flags += "e";
  if (client.noTouch) flags += "T";
  return flags === "" ? "N" : flags;
}

/** The clients that a CLIENT LIST means, or the error text. */
export function listFilter(request: Request): ClientFilter | string {
  if (request.count === 2) return () => true;
  if (request.count === 4 && request.equalsIgnoreCase(2, "TYPE")) return typeFilter(request, 3);
  if (request.count > 3 && request.equalsIgnoreCase(2, "ID")) {
    const ids = new Set<number>();
    for (let i = 3; i < request.count; i++) {
      if (!request.integer(i)) return "ERR Invalid client ID";
      ids.add(request.integerValue);
    }
    return (client) => ids.has(client.id);
  }
  return SYNTAX_ERROR;
}

function typeFilter(request: Request, i: number): ClientFilter | string {
  const type = request.text(i).toLowerCase();
  if (!TYPES.has(type)) return `ERR Unknown client type '${request.text(i).slice(0, 128)}'`;
  return () => type === "normal";
}

/** The clients that a CLIENT KILL means, or the error text. */
export function killFilter(request: Request, caller: number): ClientFilter | string {
  if (request.count === 3) return remoteFilter(request.text(2));
  const filters: ClientFilter[] = [];
  let skipsCaller = true;
  for (let i = 2; i < request.count; i += 2) {
    if (i + 1 >= request.count) return SYNTAX_ERROR;
    if (request.equalsIgnoreCase(i, "SKIPME")) {
      skipsCaller = request.equalsIgnoreCase(i + 1, "YES");
      if (!skipsCaller && !request.equalsIgnoreCase(i + 1, "NO")) return SYNTAX_ERROR;
      continue;
    }
    const filter = killOption(request, i);
    if (typeof filter === "string") return filter;
    filters.push(filter);
  }
  if (skipsCaller) filters.push((client) => client.id !== caller);
  return (client) => filters.every((filter) => filter(client));
}

/** What the option at argument `i` admits, or the error text. */
function killOption(request: Request, i: number): ClientFilter | string {
  const value = request.text(i + 1);
  if (request.equalsIgnoreCase(i, "ID")) {
    const isId = request.integer(i + 1) && request.integerValue > 0;
    const id = request.integerValue;
    return isId ? (client) => client.id === id : "ERR client-id should be greater than 0";
  }
  if (request.equalsIgnoreCase(i, "TYPE")) return typeFilter(request, i + 1);
  if (request.equalsIgnoreCase(i, "ADDR")) return remoteFilter(value);
  if (request.equalsIgnoreCase(i, "LADDR")) {
    return (client) => client.connection?.transport.localAddress === value;
  }
  if (request.equalsIgnoreCase(i, "USER")) {
    if (value !== DEFAULT_USER) return `ERR No such user '${value.slice(0, 128)}'`;
    return (client) => client.isAuthenticated;
  }
  return SYNTAX_ERROR;
}

function remoteFilter(address: string): ClientFilter {
  return (client) => client.connection?.transport.remoteAddress === address;
}
