/** Commands on the connection itself (Redis group "connection"), but for CLIENT. */
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import { sessionCommand } from "../../command.ts";
import { NOT_AN_INTEGER, SYNTAX_ERROR, wrongArguments } from "../../vnode/commands/errors.ts";
import { authenticate, boundInput } from "../authentication.ts";
import type { Client } from "../client.ts";
import { isPlainName, NAME_NOT_PLAIN } from "./client-names.ts";

/** The version of Redis whose behaviour clients can rely on. */
export const REDIS_VERSION = "7.2.4";

const NO_PROTOCOL = "NOPROTO unsupported protocol version";
const NO_AUTH_HELLO =
  "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time";
const NO_PASSWORD_SET =
  "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?";

/** What HELLO's arguments ask for: places in the request, -1 for none. */
interface HelloOptions {
  user: number;
  name: number;
}

const hello = sessionCommand({
  name: "HELLO",
  arity: -1,
  flags: ["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"],
  group: "connection",
  since: "6.0.0",
  summary: "Handshakes with the server.",
  complexity: "O(1)",
  syntax: "[protover [AUTH username password] [SETNAME clientname]]",
  execute(client, request, reply) {
    let protocol: 2 | 3 = reply.protocol;
    if (request.count > 1) {
      if (!request.integer(1)) {
        reply.error("ERR Protocol version is not an integer or out of range");
        return;
      }
      if (request.integerValue !== 2 && request.integerValue !== 3) {
        reply.error(NO_PROTOCOL);
        return;
      }
      protocol = request.integerValue;
    }
    const options = helloOptions(request, reply);
    if (options === null) return;
    const { user, name } = options;
    const isRefused =
      user >= 0 && !authenticate(client, request, { user, password: user + 1 }, reply);
    if (isRefused) return;
    if (!client.isAuthenticated) {
      reply.error(NO_AUTH_HELLO);
      return;
    }
    if (name >= 0) client.name = request.text(name);
    setProtocol(client, reply, protocol);
    replyHello(client, reply);
  },
});

/** Reads HELLO's options; null after replying what is wrong. */
function helloOptions(request: Request, reply: RespWriter): HelloOptions | null {
  const options = { user: -1, name: -1 };
  for (let i = 2; i < request.count; ) {
    const left = request.count - i - 1;
    if (left >= 2 && request.equalsIgnoreCase(i, "AUTH")) {
      options.user = i + 1;
      i += 3;
    } else if (left >= 1 && request.equalsIgnoreCase(i, "SETNAME")) {
      if (!isPlainName(request, i + 1)) {
        reply.error(NAME_NOT_PLAIN);
        return null;
      }
      options.name = i + 1;
      i += 2;
    } else {
      reply.error(`ERR Syntax error in HELLO option '${request.text(i).slice(0, 128)}'`);
      return null;
    }
  }
  return options;
}

/** From this reply on, the client is answered in this protocol. */
function setProtocol(client: Client, reply: RespWriter, protocol: 2 | 3): void {
  if (client.connection !== undefined) client.connection.out.protocol = protocol;
  reply.protocol = protocol;
}

function replyHello(client: Client, reply: RespWriter): void {
  reply.map(7);
  reply.bulkText("server");
  reply.bulkText("redis");
  reply.bulkText("version");
  reply.bulkText(REDIS_VERSION);
  reply.bulkText("proto");
  reply.integer(reply.protocol);
  reply.bulkText("id");
  reply.integer(client.id);
  reply.bulkText("mode");
  reply.bulkText(client.isDirect ? "cluster" : "standalone");
  reply.bulkText("role");
  reply.bulkText("master");
  reply.bulkText("modules");
  reply.array(0);
}

const auth = sessionCommand({
  name: "AUTH",
  arity: -2,
  flags: ["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"],
  group: "connection",
  since: "1.0.0",
  summary: "Authenticates the connection.",
  complexity: "O(1)",
  syntax: "[username] password",
  execute(client, request, reply) {
    if (request.count > 3) {
      reply.error(SYNTAX_ERROR);
      return;
    }
    if (request.count === 2 && client.worker.config.security.password === undefined) {
      reply.error(NO_PASSWORD_SET);
      return;
    }
    const places = { user: request.count === 3 ? 1 : null, password: request.count - 1 };
    if (authenticate(client, request, places, reply)) reply.ok();
  },
});

const ping = sessionCommand({
  name: "PING",
  arity: -1,
  flags: ["fast"],
  group: "connection",
  since: "1.0.0",
  summary: "Returns the server's liveliness response.",
  complexity: "O(1)",
  syntax: "[message]",
  execute(_client, request, reply) {
    if (request.count > 2) reply.error(wrongArguments("ping"));
    else if (request.count === 1) reply.pong();
    else replyArgument(request, 1, reply);
  },
});

const echo = sessionCommand({
  name: "ECHO",
  arity: 2,
  flags: ["loading", "stale", "fast"],
  group: "connection",
  since: "1.0.0",
  summary: "Returns the given string.",
  complexity: "O(1)",
  syntax: "message",
  execute(_client, request, reply) {
    replyArgument(request, 1, reply);
  },
});

function replyArgument(request: Request, i: number, reply: RespWriter): void {
  reply.bulk(request.bytes, request.starts[i] as number, request.ends[i] as number);
}

const quit = sessionCommand({
  name: "QUIT",
  arity: -1,
  flags: ["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"],
  group: "connection",
  since: "1.0.0",
  summary: "Closes the connection.",
  complexity: "O(1)",
  execute(client, _request, reply) {
    reply.ok();
    client.connection?.close();
  },
});

const reset = sessionCommand({
  name: "RESET",
  arity: 1,
  flags: ["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"],
  group: "connection",
  since: "6.2.0",
  summary: "Resets the connection.",
  complexity: "O(1)",
  execute(client, _request, reply) {
    client.reset(client.worker.config.security.password === undefined);
    boundInput(client);
    reply.simple("RESET");
  },
});

const select = sessionCommand({
  name: "SELECT",
  arity: 2,
  flags: ["loading", "stale", "fast"],
  group: "connection",
  since: "1.0.0",
  summary: "Changes the selected database: picks a keyspace.",
  complexity: "O(1)",
  syntax: "index",
  execute(client, request, reply) {
    const index = request.integer(1) ? request.integerValue : Number.NaN;
    if (Number.isNaN(index) || Math.abs(index) > 0x7fffffff) reply.error(NOT_AN_INTEGER);
    else if (client.isDirect && index !== 0) {
      reply.error("ERR SELECT is not allowed in cluster mode");
    } else if (index < 0 || index >= client.worker.config.keyspaces.length) {
      reply.error("ERR DB index is out of range");
    } else {
      client.keyspace = index;
      reply.ok();
    }
  },
});

export const connectionCommands = [hello, auth, ping, echo, quit, reset, select];
