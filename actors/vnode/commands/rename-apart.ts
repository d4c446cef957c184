/**
 * RENAME of a key to one on another thread: what the source holds is read by commands and written by
 * commands (`Apart`). A counter becomes its shown value; the expiry goes along.
 */
import type { Request } from "../../../runtime/codec/request.ts";
import type { RespWriter } from "../../../runtime/codec/resp-writer.ts";
import type { Apart } from "../../command.ts";
import { bulkIn, integerIn, itemsIn } from "../../gateway/replies.ts";
import { NO_SUCH_KEY } from "./errors.ts";
import { words } from "./words.ts";

/** How a type is read, and the command that makes the same of it. */
interface Carrier {
  readonly read: readonly string[];
  readonly write: string;
  /** Elements are pairs that are written the other way round than read. */
  readonly swaps?: boolean;
}

/** By what TYPE replies; strings apart. */
const CARRIERS: ReadonlyMap<string, Carrier> = new Map([
  ["+list\r\n", { read: ["LRANGE", "0", "-1"], write: "RPUSH" }],
  ["+set\r\n", { read: ["SMEMBERS"], write: "SADD" }],
  ["+hash\r\n", { read: ["HGETALL"], write: "HSET" }],
  ["+zset\r\n", { read: ["ZRANGE", "0", "-1", "WITHSCORES"], write: "ZADD", swaps: true }],
]);
const NONE = "+none\r\n";

/** RENAME of key 1 to key 2. */
export function* renameApart(request: Request, reply: RespWriter): ReturnType<Apart> {
  const [source, target] = [request.bytesAt(1), request.bytesAt(2)];
  const [type, until] = (yield [words("TYPE", source), words("PEXPIRETIME", source)]) as [
    Buffer,
    Buffer,
  ];
  if (type.toString() === NONE) {
    reply.error(NO_SUCH_KEY);
    return [];
  }
  const carrier = CARRIERS.get(type.toString());
  const [name = "GET", ...options] = carrier?.read ?? [];
  const [content] = (yield [words(name, source, ...options)]) as [Buffer];
  reply.ok();
  const expiryMs = integerIn(until);
  return [
    words("DEL", target),
    writing(target, carrier, content),
    ...(expiryMs < 0 ? [] : [words("PEXPIREAT", target, String(expiryMs))]),
    words("DEL", source),
  ];
}

/** The command that makes a key hold what another was read to hold. */
function writing(target: Buffer, carrier: Carrier | undefined, content: Buffer): Buffer[] {
  if (carrier === undefined) return words("SET", target, bulkIn(content) as Buffer);
  const elements = itemsIn(content).map((item) => bulkIn(item) as Buffer);
  if (carrier.swaps) {
    for (let i = 1; i < elements.length; i += 2) {
      [elements[i - 1], elements[i]] = [elements[i] as Buffer, elements[i - 1] as Buffer];
    }
  }
  return [...words(carrier.write, target), ...elements];
}

/** RENAMENX of key 1 to key 2. */
export function* renameAbsentApart(request: Request, reply: RespWriter): ReturnType<Apart> {
  const [source, target] = (yield [
    words("EXISTS", request.bytesAt(1)),
    words("EXISTS", request.bytesAt(2)),
  ]) as [Buffer, Buffer];
  if (integerIn(source) === 1 && integerIn(target) === 1) {
    reply.integer(0);
    return [];
  }
  const start = reply.mark();
  const changes = yield* renameApart(request, reply);
  if (changes.length === 0) return [];
  reply.rewind(start);
  reply.integer(1);
  return changes;
}
